"""SOQL as the sandbox's Salesforce understands it: parsing, Salesforce's errors, and results."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.sandbox.salesforce_objects import SalesforceObjects
from gainsight_pipelines.sandbox.soql import SoqlError, comparable, located, parse, plan, to_json, unescape
from gainsight_pipelines.sandbox.world import World, salesforce_id
from gainsight_pipelines_tests.sandbox.crm_serving import small_world


def found(soql: str, world: World | None = None) -> list[int]:
    """The keys of the accounts that a query finds, including deleted ones, in the order of the query."""
    objects = SalesforceObjects(world or small_world())
    made = plan(parse(soql), objects.entities)
    return [account.key for account in made.rows(objects.rows("Account", include_deleted=True))]


def where(condition: str) -> list[int]:
    return found(f"SELECT Id FROM Account WHERE {condition} ORDER BY Id")


def error(soql: str) -> SoqlError:
    with pytest.raises(SoqlError) as failure:
        plan(parse(soql), SalesforceObjects(small_world()).entities)
    return failure.value


@pytest.mark.parametrize(
    ("condition", "keys"),
    [
        ("Name = 'account 03'", [3]),
        ("Name LIKE 'Account 0_' AND Name != 'Account 01'", [2, 3, 4, 5, 6, 7, 8, 9]),
        (r"Name LIKE '%\_%'", []),
        ("Owner.Name = 'Ada O\\'Brien' AND ARR__c > 7000", [8, 10, 12]),
        ("Parent.Name = 'Account 01'", [2, 3]),
        ("ParentId = null AND NOT (ARR__c >= 4000 OR ARR__c = null)", [1]),
        ("(Name = 'Account 01' OR Name = 'Account 05') AND Website = null", [5]),
        ("Website = ''", [5]),
        ("Gainsight_GSID__c NOT IN ('1P02GSID0001', '1p02gsid0002') AND ARR__c < 5000", [3, 4]),
        ("Gainsight_GSID__c != '1P02GSID0001' AND ARR__c IN (1000.5, 8000.5)", [8]),
        ("IsDeleted = TRUE", [11, 12]),
        ("IsDeleted != true AND Renewal_Date__c >= 2026-12-10", [10]),
        ("SystemModstamp > 2026-01-31T10:02:00Z AND SystemModstamp < 2026-02-01T00:00:00.000Z", [9, 10]),
        ("SystemModstamp >= 2026-01-31T11:03:00+01:00 AND IsDeleted = false", [4, 9, 10]),
        ("SystemModstamp = 2026-01-31T10:00:00Z", [1, 2]),
        ("NOT SystemModstamp < 2026-02-03T10:00:00Z", [4, 12]),
        (f"Id = '{salesforce_id(3)[:15]}'", [3]),
        (f"Id > '{salesforce_id(9)}' AND IsDeleted = false", [10]),
        (f"MasterRecordId = '{salesforce_id(4)}'", [12]),
        ("NumberOfEmployees <> 80 AND Name < 'Account 03'", [2]),
        ("Account.Name = 'Account 02'", [2]),
    ],
)
def test_conditions(condition: str, keys: list[int]) -> None:
    # The conditions have no ORDER BY, so only the sorted keys are compared.
    assert sorted(where(condition)) == keys


def test_order_limit_and_offset() -> None:
    assert found("SELECT Id FROM Account ORDER BY ARR__c DESC NULLS LAST LIMIT 2") == [12, 11]
    assert found("SELECT Id FROM Account ORDER BY ARR__c LIMIT 2") == [6, 1]
    assert found("SELECT Id FROM Account ORDER BY ARR__c ASC NULLS LAST LIMIT 1 OFFSET 11") == [6]
    assert found("select Id from Account order by arr__c desc limit 2") == [6, 12]
    assert found("SELECT Id FROM Account ORDER BY OwnerId NULLS LAST, Name DESC LIMIT 3") == [12, 10, 8]
    assert found("SELECT Id FROM Account ORDER BY Owner.LastName NULLS LAST, Name LIMIT 2") == [1, 3]


def test_time_order_takes_seconds_and_ties_go_on_by_the_next_field() -> None:
    assert found("SELECT Id FROM Account ORDER BY SystemModstamp, Name DESC LIMIT 2") == [2, 1]


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT Id FROM Nothing", "INVALID_TYPE", "sObject type 'Nothing' is not supported."),
        ("SELECT Nope__c FROM Account", "INVALID_FIELD", "No such column 'Nope__c' on entity 'Account'."),
        ("SELECT Id FROM Account ORDER BY Nope", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'."),
        ("SELECT Owner.Nope FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'User'."),
        ("SELECT Boss.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Boss' in field path."),
        ("SELECT Id, id FROM Account", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Id FROM Account WHERE Name = 3", "INVALID_FIELD", "must be of type string and should be enclosed"),
        ("SELECT Id FROM Account WHERE ARR__c = '3'", "INVALID_FIELD", "must be of type double and should not be"),
        (
            "SELECT Id FROM Account WHERE SystemModstamp > '2026-01-01T00:00:00Z'",
            "INVALID_FIELD",
            "value of filter criterion for field 'SystemModstamp' must be of type dateTime and should not be enclosed",
        ),
        ("SELECT Id FROM Account WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD", "must be of type dateTime"),
        ("SELECT Id FROM Account WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        (
            "SELECT Id FROM Account WHERE Id LIKE '001%'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "invalid operator on id field",
        ),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered in a query call"),
        ("SELECT Id FROM Account ORDER BY Description", "INVALID_FIELD", "can not be sorted in a query call"),
        ("SELECT Id FROM Account WHERE IsDeleted > true", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Account LIMIT 1 OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT of at most 200"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY", "token: 'OR'"),
        ("SELECT Id FROM Account WHERE Name = 'it's'", "MALFORMED_QUERY", "unexpected token"),
        (r"SELECT Id FROM Account WHERE Name = 'a\qb'", "MALFORMED_QUERY", r"Illegal character sequence '\q'"),
        ("SELECT * FROM Account", "MALFORMED_QUERY", "unexpected token: '*'"),
        ("SELECT FROM Account", "MALFORMED_QUERY", "unexpected token: 'FROM'"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        ("SELECT Id FROM Account GROUP BY Id", "MALFORMED_QUERY", "unexpected token: 'GROUP'"),
        ("SELECT Id FROM Account WHERE SystemModstamp > 2026-13-01T00:00:00Z", "MALFORMED_QUERY", "invalid date"),
    ],
)
def test_errors_have_salesforces_code_and_words(soql: str, code: str, message: str) -> None:
    failure = error(soql)
    assert failure.code == code
    assert message in failure.message


def test_error_shows_the_place_as_salesforce_does() -> None:
    # For such a query Salesforce says column 44 in https://github.com/roblesterjr04/EloquentSalesForce/issues/68.
    soql = "select Id, ProductCode from Product2 where ProductCode = 3999"
    message = located(soql, 43, "value of filter criterion …")
    lines = message.splitlines()
    assert lines[-2] == "ERROR at Row:1:Column:44"
    assert lines[1][lines[2].index("^") :].startswith("ProductCode = 3999")
    assert "ERROR at Row:2:Column:8" in error("SELECT Id,\n       Nope FROM Account").message


def test_counting() -> None:
    assert parse("SELECT COUNT() FROM Account").count
    counted = parse("SELECT COUNT(Id) total FROM Account").count_of
    assert counted is not None
    assert counted[1] == "total"


def test_all_fields() -> None:
    objects = SalesforceObjects(small_world())
    made = plan(parse("SELECT FIELDS(ALL) FROM Account LIMIT 200"), objects.entities)
    record = made.record(objects.rows("Account", include_deleted=False)[0], "/services/data/v59.0")
    assert {"Id", "ARR__c", "SystemModstamp"} <= record.keys()


def quoted(text: str) -> str:
    """A string literal, escaped as Salesforce's documentation says."""
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "'" + "".join(escapes.get(character, character) for character in text) + "'"


@given(st.text(max_size=20))
def test_any_text_survives_quoting(text: str) -> None:
    assert unescape(quoted(text)[1:-1]) == text


@given(st.text(min_size=1, max_size=20))
def test_any_text_finds_itself(text: str) -> None:
    world = small_world()
    world.accounts[3].name = text
    assert 3 in found(f"SELECT Id FROM Account WHERE Name = {quoted(text)}", world)


@given(st.text(alphabet="SELCTFROMWHNAD idx.,()='<>!%_\\0123456789-:TZ", max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    with suppress(SoqlError):
        plan(parse("SELECT Id FROM Account WHERE " + text), SalesforceObjects(World(datetime.now(UTC))).entities)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime(2026, 1, 31, 10, 0, 0, 999_999, tzinfo=UTC), "2026-01-31T10:00:00.000+0000"),
        (datetime(2026, 1, 31, tzinfo=UTC).date(), "2026-01-31"),
        (None, None),
        (True, True),
    ],
)
def test_json_values(value: Any, shown: Any) -> None:
    assert to_json(value) == shown


def test_ids_compare_by_their_15_characters() -> None:
    assert comparable("id", salesforce_id(1)) == salesforce_id(1)[:15]
    assert comparable("string", "ÄB") == "äb"
