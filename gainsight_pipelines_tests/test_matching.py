"""Matching (requirements M1 and M4): properties that hold for any accounts, and single cases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gainsight_pipelines.crm.ids import salesforce_id_18
from gainsight_pipelines.matching import NO_ACCOUNT, NO_COMPANY, AccountIndex, IndexedAccount, Link, Method, Reason

GSIDS = st.sampled_from(["1P02A", "1P02B", "1P02C", " 1p02a ", "", None])
IDS = st.sampled_from(["11", "22", "33", "44"])
DOMAINS = st.sampled_from(["one.example", "https://www.One.example/x", "two.example", "", None])


@st.composite
def account_lists(draw: st.DrawFn) -> list[IndexedAccount]:
    ids = draw(st.lists(IDS, unique=True))
    return [
        IndexedAccount(
            account_id,
            draw(GSIDS),
            is_deleted=draw(st.booleans()),
            merged_into=draw(st.none() | IDS),
            domain=draw(DOMAINS),
        )
        for account_id in ids
    ]


@given(account_lists(), GSIDS, st.none() | IDS | st.sampled_from([" 11 ", "x", ""]))
def test_a_match_is_a_live_account_or_a_reason(
    accounts: list[IndexedAccount], gsid: str | None, crm_id: str | None
) -> None:
    link = AccountIndex("hubspot", accounts).link(gsid, crm_id)
    assert (link.account_id is None) == (link.reason is not None) == (link.method is None)
    live = {each.account_id for each in accounts if not each.is_deleted and not each.merged_into}
    assert {*(link.candidates or ()), *([link.account_id] if link.account_id else [])} <= live
    assert (len(link.candidates) > 1) == (link.reason is Reason.AMBIGUOUS)
    if not (gsid or "").strip() and not (crm_id or "").strip():
        assert link == NO_COMPANY


@given(account_lists(), GSIDS, st.none() | IDS, st.randoms())
def test_the_order_of_accounts_does_not_matter(
    accounts: list[IndexedAccount], gsid: str | None, crm_id: str | None, random: object
) -> None:
    shuffled = list(accounts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert AccountIndex("hubspot", accounts).link(gsid, crm_id) == AccountIndex("hubspot", shuffled).link(gsid, crm_id)


@given(account_lists(), DOMAINS)
def test_a_domain_matches_only_if_one_account_has_it(accounts: list[IndexedAccount], domain: str | None) -> None:
    link = AccountIndex("hubspot", accounts).link_by_domain(domain)
    if not domain:
        assert link == NO_COMPANY
    assert (link.account_id is None) == (link.reason is not None)
    assert link.method in (None, Method.DOMAIN)


def test_the_crm_id_wins_and_a_contradiction_is_reported() -> None:
    index = AccountIndex("hubspot", [IndexedAccount("11", "1P02A"), IndexedAccount("22", "1P02B")])
    assert index.link("1P02B", "11") == Link("11", Method.DIRECT, is_contradicted=True)
    assert index.link("1P02A", "11") == Link("11", Method.DIRECT)
    assert index.link("1P02A", None) == Link("11", Method.GSID_FIELD)


def test_a_deleted_account_is_ignored_and_the_gsid_field_is_used() -> None:
    index = AccountIndex("hubspot", [IndexedAccount("11", is_deleted=True), IndexedAccount("22", "1P02A")])
    assert index.link("1P02A", "11") == Link("22", Method.GSID_FIELD)
    assert index.link("1P02B", "11") == NO_ACCOUNT


def test_merges_are_followed_over_several_steps() -> None:
    index = AccountIndex(
        "hubspot",
        [
            IndexedAccount("11", "1P02A", is_deleted=True, merged_into="22"),
            IndexedAccount("22", is_deleted=True, merged_into="33"),
            IndexedAccount("33"),
        ],
    )
    assert index.link("1P02A", None) == Link("33", Method.GSID_FIELD)
    assert index.link(None, "11") == Link("33", Method.DIRECT)


def test_a_cycle_of_merges_matches_nothing() -> None:
    index = AccountIndex("hubspot", [IndexedAccount("11", merged_into="22"), IndexedAccount("22", merged_into="11")])
    assert index.link(None, "11") == NO_ACCOUNT


def test_several_accounts_with_one_gsid_are_ambiguous() -> None:
    index = AccountIndex("hubspot", [IndexedAccount("22", "1P02A"), IndexedAccount("11", " 1p02a ")])
    assert index.link("1P02A", None) == Link(reason=Reason.AMBIGUOUS, candidates=("11", "22"))


def test_both_forms_of_a_salesforce_id_match_the_same_account() -> None:
    short = "0015g00000AAAAB"
    full = salesforce_id_18(short)
    assert full is not None
    index = AccountIndex("salesforce", [IndexedAccount(full)])
    assert index.link("1P02A", f" {short} ") == index.link("1P02A", full) == Link(full, Method.DIRECT)
    assert index.link("1P02A", short.swapcase()) == NO_ACCOUNT


def test_a_row_is_matched_by_its_own_key() -> None:
    index = AccountIndex("hubspot", [IndexedAccount("11", "1P02A", domain="one.example"), IndexedAccount("22")])
    assert index.link_of(None, "22", "crm_id", None) == Link("22", Method.DIRECT)
    assert index.link_of(None, "WWW.One.example", "domain", None) == Link("11", Method.DOMAIN)
    assert index.link_of("1P02A", "two.example", "domain", None) == Link("11", Method.GSID_FIELD)
    assert index.link_of(None, "two.example", "domain", None) == NO_ACCOUNT
    assert index.link_of("1P02A", None, None, "22") == Link("22", Method.DIRECT, is_contradicted=True)


def test_a_row_whose_own_key_finds_nothing_is_matched_by_its_company() -> None:
    accounts = [IndexedAccount("11", "1P02A", domain="one.example"), IndexedAccount("22", "1P02B")]
    index = AccountIndex("hubspot", accounts)
    for kind, lost, found in (("crm_id", "99", "11"), ("domain", "nobody.example", "one.example")):
        assert index.link_of("1P02B", found, kind, "22").account_id == "11"
        assert index.link_of("1P02B", lost, kind, "22") == Link("22", Method.DIRECT)
        assert index.link_of("1P02B", lost, kind, None) == Link("22", Method.GSID_FIELD)
        assert index.link_of(None, lost, kind, None) == NO_ACCOUNT
        assert index.link_of("1P02C", lost, kind, None) == NO_ACCOUNT
        assert index.link_of(None, None, kind, None) == NO_COMPANY
        assert index.link_of("1P02B", None, kind, None).account_id == "22"
    assert index.link_of("1P02B", "11", "crm_id", None).is_contradicted


def test_invisible_characters_do_not_prevent_a_match() -> None:
    index = AccountIndex("hubspot", [IndexedAccount("11", "\ufeff1P02A\u200b"), IndexedAccount("22", "1P02B")])
    assert index.link("1p02\u00ada", None) == Link("11", Method.GSID_FIELD)
    assert index.link(None, "\u200e22\u200b") == Link("22", Method.DIRECT)
    assert index.link("\u200b", "\ufeff") == NO_COMPANY
    short = "001A0000006Vm9r"
    index = AccountIndex("salesforce", [IndexedAccount(salesforce_id_18(short) or "")])
    assert index.link(None, f"\u200b{short}\u200b").method is Method.DIRECT
    assert index.link(None, short.swapcase()) == NO_ACCOUNT
