"""The commands of `gainsight-pipelines`: what each takes and prints. The work is done elsewhere, imported when used."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError

from gainsight_pipelines import __version__, logs
from gainsight_pipelines.cli import completion, output
from gainsight_pipelines.cli.examples import EXAMPLES, epilogue
from gainsight_pipelines.cli.invocation import PROGRAM
from gainsight_pipelines.errors import PipelineError, UsageError


def _shown_default(value: object) -> object:
    """What `--help` says of a default: nothing where leaving an option out means nothing."""
    return None if value is None or value is False or value == () else value


app = App(
    name="gainsight-pipelines",
    version=__version__,
    help="Gainsight data, matched to the accounts of Salesforce or HubSpot, in PostgreSQL, run by Dagster.",
    help_format="plaintext",  # as Markdown, survey_<object> would lose its end
    default_parameter=Parameter(show_default=_shown_default),
    result_action="return_value",
)

app.register_install_completion_command(help="Teach this shell to complete commands, options and the tenant's names.")

SettingsPath = Annotated[
    Path | None,
    Parameter(name="--settings", help="The settings file; else GAINSIGHT_PIPELINES_SETTINGS, else ./gainsight.yaml."),
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON document on stdout.")]
Fresh = Annotated[bool, Parameter(negative="", help="Ask anew; else names are kept for 10 minutes.")]
CrmKind = Annotated[Literal["salesforce", "hubspot"], Parameter(help="Which CRM the sandbox plays.")]

PAGE_PORT = 3001
MAX_PORT = 65_535

OBJECTS_BEFORE_COLLECTION = 100_000


def _between(least: float, most: float) -> Callable[[Any, Any], None]:
    """A validator of numbers whose refusal says the whole range."""

    def check(_type: Any, value: float | None) -> None:
        if value is not None and not least <= value <= most:
            raise ValueError(f"It takes {least:,} to {most:,}.")

    return check


def main() -> None:
    """Runs the command. Exit status: 0; 1: it failed; 2: it was called wrongly; 130: Ctrl-C; 141: a broken pipe."""
    # Nothing that is imported is garbage. Looking for some, above all once more at the end, takes a third of `status`.
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
    output.prepare_streams()
    status = _status()
    gc.freeze()
    sys.exit(status)


def _misuse(error: CycloptsError) -> str:
    """What is wrong with the way in which a command was called, and where its help is."""
    command = " ".join(error.command_chain or ())
    text = str(error).strip()
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.argument.name
        text = f"{name} needs a value." if name.startswith("-") else f"`{command}` needs {name}."
    if isinstance(error, UnusedCliTokensError):
        text = f"`{command}` takes no {' '.join(error.unused_tokens or ())}."
    return f"{text} `{' '.join(filter(None, (PROGRAM, command, '--help')))}` says more."


def _status() -> int:
    if logs.is_json():
        logs.log_to_stderr(logging.WARNING)
    try:
        status = app(exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        output.say(f"{PROGRAM}: {_misuse(error)}", "ERROR")
        return 2
    except PipelineError as error:
        output.say(f"{PROGRAM}: {error}", "ERROR")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `… | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere
        return 141
    except Exception as error:  # noqa: BLE001 - the last resort: nobody shall have to read a stack
        from gainsight_pipelines.cli.unexpected import keep

        if isinstance(error, OSError) and error.filename is not None:
            output.say(f"{PROGRAM}: {error.filename} can't be used: {error.strerror}.", "ERROR")
        else:
            output.say(f"{PROGRAM}: {keep(error)}", "ERROR")
        return 1
    return status or 0


@app.command
def run(
    *objects: Annotated[
        str,
        Parameter(
            help="company, activity, surveys, survey_<object> or product_usage.", completer=completion.pull_names
        ),
    ],
    everything: Annotated[bool, Parameter(name="--all", negative="", help="Every configured object.")] = False,
    accept_deletions: Annotated[
        bool,
        Parameter(negative="", help="Look for deletions now, and let any number of rows be marked deleted."),
    ] = False,
    full: Annotated[bool, Parameter(negative="", help="Read everything again after the normal pull.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Pull objects now, one process each, as Dagster runs that the UI shows. Exit status 1 if one failed."""
    from gainsight_pipelines.cli.commands import run_command

    given = {"--accept-deletions": accept_deletions, "--full": full}
    flags = [flag for flag, is_given in given.items() if is_given]
    return run_command(objects, everything=everything, flags=flags, path=settings, as_json=json)


@app.command
def unmatched(
    name: Annotated[
        str | None, Parameter(help="company, activity, surveys, survey_<object> or product_usage; all else.")
    ] = None,
    /,
    *,
    reason: Annotated[
        Literal["no_company", "no_account", "ambiguous"] | None, Parameter(help="Only those with this reason.")
    ] = None,
    limit: Annotated[int, Parameter(help="How many to show, 1 to 10,000.", validator=_between(1, 10_000))] = 50,
    csv: Annotated[Path | None, Parameter(help="Write all of them into this file.")] = None,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """List the records that have no account, with the reason. They are matched by themselves once one exists."""
    from gainsight_pipelines.cli.commands import unmatched_command

    return unmatched_command(name, reason=reason, limit=limit, file=csv, path=settings, as_json=json)


@app.command
def export(  # noqa: PLR0913 - an option each
    table: Annotated[
        str,
        Parameter(
            help="A table or view of docs/data-contract.md, or the typed view of an object.",
            completer=completion.table_names,
        ),
    ],
    /,
    *,
    to: Annotated[Path, Parameter(help="The file; its ending says the format: .parquet, .csv or .xlsx.")],
    columns: Annotated[
        tuple[str, ...], Parameter(negative="", help="Only these, in this order, with commas between.")
    ] = (),
    where: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="COLUMN=VALUE, several times for several; without a value: where it is empty."),
    ] = (),
    since: Annotated[str | None, Parameter(help="Only rows that changed then (ISO, UTC) or later.")] = None,
    since_column: Annotated[
        str | None, Parameter(help="The time that --since is about, in place of changed_at.")
    ] = None,
    with_deleted: Annotated[
        bool, Parameter(negative="", help="With rows of what Gainsight or the CRM no longer has.")
    ] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Write a table or view into a Parquet, CSV or Excel file: all of it, or what was asked for. Replaces the file."""
    from gainsight_pipelines.cli.export import export_command, wanted_of

    wanted = wanted_of(table, columns, where, since, since_column, with_deleted=with_deleted)
    return export_command(wanted, file=to, path=settings, as_json=json)


@app.command
def deliver(
    *tables: Annotated[
        str,
        Parameter(
            help="Tables and views; else those of `delivery.tables`, or all data.", completer=completion.table_names
        ),
    ],
    full: Annotated[bool, Parameter(negative="", help="All rows again, in place of what is there.")] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would be delivered, and how.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Bring the warehouse that the settings name up to date: what has changed since the last delivery, by dlt."""
    from gainsight_pipelines.cli.deliver import deliver_command

    return deliver_command(tables, is_full=full, is_dry=dry_run, path=settings, as_json=json)


@app.command
def status(
    *,
    watch: Annotated[bool, Parameter(negative="", help="Go on showing it, until Ctrl-C.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Show the gate and each configured object: its last run, and when it is due next."""
    from gainsight_pipelines.cli.status import status_command

    return status_command(path=settings, as_json=json, is_watched=watch)


@app.command
def metrics(
    *,
    serve: Annotated[
        int | None,
        Parameter(validator=_between(0, MAX_PORT), help="Serve /metrics, /healthz and /readyz there."),
    ] = None,
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 in a container.")] = "127.0.0.1",
    settings: SettingsPath = None,
) -> int:
    """Print the store's numbers in Prometheus' text format, or serve them until Ctrl-C."""
    from gainsight_pipelines.cli.metrics import metrics_command

    return metrics_command(port=serve, host=host, path=settings)


alerts_app = App(name="alerts", help="See what is firing by the rules of the section alerts, and try where it goes.")
app.command(alerts_app)


@alerts_app.command(name="list")
def alerts_list(*, settings: SettingsPath = None, json: Json = False) -> int:
    """Show what is wrong at the moment and when it was told. Sends nothing."""
    from gainsight_pipelines.cli.alerts import list_command

    return list_command(path=settings, as_json=json)


@alerts_app.command(name="test")
def alerts_test(*, settings: SettingsPath = None, json: Json = False) -> int:
    """Send a message to each target of GAINSIGHT_PIPELINES_ALERTS_URLS. Exit status 1 if one did not take it."""
    from gainsight_pipelines.cli.alerts import test_command

    return test_command(path=settings, as_json=json)


@app.command
def dbt_sources(
    *,
    into: Annotated[
        Path | None,
        Parameter(
            help="Folder of a dbt project: written there, with a staging model for each typed view of the store."
        ),
    ] = None,
    name: Annotated[str, Parameter(help="Name of the source. The dbt package reads `gainsight`.")] = "gainsight",
    prefix: Annotated[str | None, Parameter(help="The tenant's `prefix` in Dagster, where it has one.")] = None,
    key_prefix: Annotated[str, Parameter(help="What the assets' keys begin with in your project, as in cs/raw.")] = "",
    settings: SettingsPath = None,
) -> int:
    """Print dbt's sources for the assets, which dagster-dbt takes for these very assets."""
    from gainsight_pipelines.cli.dbt import dbt_sources_command

    return dbt_sources_command(name=name, prefix=prefix, key_prefix=key_prefix, into=into, path=settings)


@app.command
def init(  # noqa: PLR0913 - an answer each
    *,
    non_interactive: Annotated[
        bool,
        Parameter(negative="", help="Ask nothing: ready answers, those given here, and keys from the environment."),
    ] = False,
    base_url: Annotated[str | None, Parameter(help="Gainsight's base URL.")] = None,
    gainsight_login: Annotated[
        Literal["access-key", "oauth-client"] | None, Parameter(help="Which of Gainsight's credentials to use.")
    ] = None,
    crm: Annotated[Literal["salesforce", "hubspot"] | None, Parameter(help="Which CRM owns the accounts.")] = None,
    gsid_field: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            help="CRM field with the GSID; - for none.",
            completer=completion.account_field_names,
        ),
    ] = None,
    arr_field: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True, help="CRM field with ARR; - for none.", completer=completion.account_field_names
        ),
    ] = None,
    renewal_date_field: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            help="CRM field with the renewal date; - for none.",
            completer=completion.account_field_names,
        ),
    ] = None,
    crm_id_field: Annotated[str | None, Parameter(help="Company field with the CRM's account id.")] = None,
    survey_object: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="Object with survey responses; several times for several.",
            completer=completion.object_names,
        ),
    ] = (),
    usage_object: Annotated[
        str | None, Parameter(help="Object with product usage.", completer=completion.object_names)
    ] = None,
    object: Annotated[  # noqa: A002 - what the option is called
        tuple[str, ...],
        Parameter(
            negative="",
            help="Further object to pull; several times for several.",
            completer=completion.object_names,
        ),
    ] = (),
    without: Annotated[
        tuple[str, ...], Parameter(negative="", help="A pull to leave out: company, activity, surveys, product_usage.")
    ] = (),
    sandbox: Annotated[Path | None, Parameter(help="Folder of a running sandbox, where it isn't found.")] = None,
    overwrite: Annotated[
        bool, Parameter(negative="", help="With --non-interactive: change a file that is there.")
    ] = False,
    settings: SettingsPath = None,
) -> int:
    """Make gainsight.yaml and .env: asks what is needed, with ready answers out of the tenant, and checks each.

    Works again on files that are there: what changes is shown first. Keys are asked for, never taken as options.
    """
    from gainsight_pipelines.cli.init import Given, init_command

    options = {
        "base-url": base_url,
        "gainsight-login": gainsight_login,
        "crm": crm,
        "gsid-field": gsid_field,
        "arr-field": arr_field,
        "renewal-date-field": renewal_date_field,
        "crm-id-field": crm_id_field,
        "usage-object": usage_object,
    }
    answers = {name: value for name, value in options.items() if value is not None}
    given = Given(answers, survey_object, object, without, sandbox, overwrite)
    return init_command(given, is_interactive=not non_interactive, path=settings)


@app.command
def validate(
    *,
    report: Annotated[
        Path | None,
        Parameter(help="Write into this file how the tenant answers, without any data; `sandbox --like` plays it."),
    ] = None,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Prove that everything the settings name is there: tenant, key, CRM, database, objects, fields, filters, matches.

    One line per check, with what to do. Exit status 1 if one failed.
    """
    from gainsight_pipelines.cli.validate import validate_command

    return validate_command(report=report, path=settings, as_json=json)


@app.command
def objects(
    pattern: str | None = None, /, *, fresh: Fresh = False, settings: SettingsPath = None, json: Json = False
) -> int:
    """List the tenant's objects: what `surveys.objects` and `product_usage.object` can name.

    Parameters
    ----------
    pattern:
        A piece of a name or label, or a pattern with * and ?.
    """
    from gainsight_pipelines.cli.pickers import objects_command

    return objects_command(pattern, is_fresh=fresh, path=settings, as_json=json)


@app.command
def fields(
    object: Annotated[str, Parameter(completer=completion.object_names)],  # noqa: A002 - as the command line has it
    pattern: str | None = None,
    /,
    *,
    fill: Annotated[bool, Parameter(negative="", help="How full each is in a sample of 200 records.")] = False,
    fresh: Fresh = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """List the fields of one of the tenant's objects, with labels and types.

    Parameters
    ----------
    object:
        Its API name, from `gainsight-pipelines objects`.
    pattern:
        A piece of a name or label, or a pattern with * and ?.
    """
    from gainsight_pipelines.cli.pickers import fields_command

    return fields_command(object, pattern, with_fill=fill, is_fresh=fresh, path=settings, as_json=json)


@app.command
def crm_fields(
    pattern: str | None = None,
    /,
    *,
    fill: Annotated[bool, Parameter(negative="", help="How full each is in a sample of 200 accounts.")] = False,
    fresh: Fresh = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """List the fields of the CRM's account object: what `gsid_field` and `primary_crm.fields` can name.

    Parameters
    ----------
    pattern:
        A piece of a name or label, or a pattern with * and ?.
    """
    from gainsight_pipelines.cli.pickers import crm_fields_command

    return crm_fields_command(pattern, with_fill=fill, is_fresh=fresh, path=settings, as_json=json)


@app.command
def categories(
    *names: Annotated[str, Parameter(help="With --add: CATEGORY, or CATEGORY=TYPE in place of the suggested type.")],
    add: Annotated[
        bool, Parameter(negative="", help="Write those named, else all that aren't mapped yet, into the settings.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="With --add: show what would change, write nothing.")] = False,
    resample: Annotated[
        bool, Parameter(negative="", help="Ask for fewer activities than last time, for a slow tenant.")
    ] = False,
    fresh: Fresh = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Show the reporting categories of recent activities with their types, and a type for those not mapped yet.

    Types are EMAIL, MEETING and TYPE_MANUAL (a note that somebody wrote down).
    """
    from gainsight_pipelines.cli.categories import categories_command

    return categories_command(
        names, add=add, is_dry=dry_run, resample=resample, is_fresh=fresh, path=settings, as_json=json
    )


@app.command
def preview(
    object: Annotated[str, Parameter(completer=completion.pull_and_object_names)],  # noqa: A002
    /,
    *,
    filter: Annotated[  # noqa: A002
        str | None, Parameter(help="A where-clause as JSON, or @FILE, in place of what the pull itself asks for.")
    ] = None,
    records: Annotated[int, Parameter(help="How many to show, 1 to 50.", validator=_between(1, 50))] = 3,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Show what a pull or a filter would bring: how many records, and some raw and as they would be stored.

    Writes nothing.

    Parameters
    ----------
    object:
        company, activity, survey_<object> or product_usage; or any object of the tenant, raw.
    """
    from gainsight_pipelines.cli.preview import preview_command

    return preview_command(object, filter_text=filter, size=records, path=settings, as_json=json)


@app.command
def demo(*, crm: CrmKind = "salesforce", json: Json = False) -> int:
    """See it work: an embedded PostgreSQL, a local Gainsight and CRM, all four pulls, and what came of them."""
    from gainsight_pipelines.cli.demo import demo_command

    return demo_command(crm, as_json=json)


@app.command
def dev(
    *,
    sandbox: Annotated[bool, Parameter(negative="", help="On a local Gainsight and CRM with made-up data.")] = False,
    crm: CrmKind = "salesforce",
    port: Annotated[int, Parameter(help="Of the UI.", validator=_between(1, MAX_PORT))] = 3000,
    settings_page: Annotated[
        tuple[Annotated[int, Parameter(validator=_between(0, MAX_PORT))], ...] | None,
        Parameter(
            negative="",
            consume_multiple=(0, 1),
            help=f"The settings page as well, on this port, else on {PAGE_PORT}; 0: a free one.",
        ),
    ] = None,
    settings: SettingsPath = None,
) -> int:
    """Open the Dagster UI and its daemon on the settings file. Ctrl-C ends everything that this started."""
    from gainsight_pipelines.cli.dev import dev_command

    page_port = None if settings_page is None else next(iter(settings_page), PAGE_PORT)
    return dev_command(is_sandbox=sandbox, crm=crm, port=port, page_port=page_port, path=settings)


@app.command(name="settings-page")
def settings_page(
    *,
    dagster: Annotated[
        str | None,
        Parameter(
            env_var="DAGSTER_WEBSERVER_URL", help="Address of the Dagster UI: for Run, and to load what was saved."
        ),
    ] = None,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Its port; 0: a free one.", validator=_between(0, MAX_PORT))] = PAGE_PORT,
    public_url: Annotated[
        str | None,
        Parameter(help="Address in the browser where a reverse proxy is in front, like https://settings.example.com."),
    ] = None,
    answer_seconds: Annotated[
        float,
        Parameter(help="How long a look-up waits for the tenant or the CRM, up to 600.", validator=_between(0.1, 600)),
    ] = 25.0,
    settings: SettingsPath = None,
) -> int:
    """Open the settings in a browser, with live pickers, checks and the status banner, until Ctrl-C."""
    from gainsight_pipelines.cli.settings_page import settings_page_command

    return settings_page_command(
        host=host, port=port, public_url=public_url, dagster=dagster, answer_seconds=answer_seconds, path=settings
    )


@app.command
def sandbox(
    *,
    crm: CrmKind = "salesforce",
    folder: Path | None = None,
    like: Annotated[Path | None, Parameter(help="A report of `validate --report`: answer as that tenant does.")] = None,
) -> int:
    """Run the local Gainsight, Salesforce and HubSpot by themselves, until Ctrl-C."""
    from gainsight_pipelines.cli.sandbox import sandbox_command

    return sandbox_command(crm, folder, like)


@app.command
def migrate(
    *,
    drop_gone_columns: Annotated[
        bool, Parameter(negative="", help="Make views anew without columns whose fields are gone.")
    ] = False,
    wait: Annotated[
        float, Parameter(help="Seconds to wait for a database that doesn't answer yet.", validator=_between(0, 3600))
    ] = 0.0,
    settings: SettingsPath = None,
) -> int:
    """Bring the database to this version. `run` and `dev` do so by themselves where their role may."""
    from gainsight_pipelines.cli.commands import migrate_command

    return migrate_command(drops_gone_columns=drop_gone_columns, wait=wait, path=settings)


@app.command
def grants(
    *,
    role: Annotated[str, Parameter(help="The role that the rights are for; it has to be there.")],
    kind: Annotated[
        Literal["puller", "reader", "migrator"],
        Parameter(name="--as", help="What it is for: pulls, reading alone, or making and changing the tables."),
    ] = "puller",
    made_by: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="A role that makes tables or views: what it makes later is granted too. Else: whoever runs the SQL.",
        ),
    ] = None,
    settings: SettingsPath = None,
) -> int:
    """Print the SQL that gives a role the least that it needs; nothing is granted here."""
    from gainsight_pipelines.cli.grants import grants_command
    from gainsight_pipelines.store.roles import Kind

    return grants_command(role=role, kind=Kind(kind), made_by=made_by or (), path=settings)


@app.command
def purge(
    *,
    older_than: Annotated[
        int,
        Parameter(
            help="Days, 8 to 36,500; runs that ended earlier go. Pulled data always stay.",
            validator=_between(8, 36_500),  # checks look back for a week
        ),
    ] = 90,
    rejected_older_than: Annotated[
        int | None,
        Parameter(
            help="Days, 8 to 36,500; records in `rejected_record` that were last seen earlier go too.",
            validator=_between(8, 36_500),
        ),
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Only say how many would go.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Delete old runs with their events, which Dagster keeps for good; each object's last successful one stays."""
    from gainsight_pipelines.cli.purge import purge_command

    return purge_command(
        days=older_than, rejected_days=rejected_older_than, is_dry=dry_run, path=settings, as_json=json
    )


@app.command
def reset(
    *,
    everything: Annotated[bool, Parameter(name="--all", negative="", help="Say that all of it shall go.")] = False,
    settings: SettingsPath = None,
) -> int:
    """Empty the product's tables, so that the database can hold another tenant's data. Needs --all."""
    from gainsight_pipelines.cli.commands import reset_command

    return reset_command(is_confirmed=everything, path=settings)


@app.command
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors."""
    from gainsight_pipelines.cli.output import print_json
    from gainsight_pipelines.settings import settings_schema

    print_json(settings_schema())


settings_app = App(name="settings", help="Look at the settings, and change them: checked, with every version kept.")
app.command(settings_app)


@settings_app.command(name="show")
def settings_show(section: str | None = None, *, settings: SettingsPath = None) -> int:
    """Print the settings as they hold, defaults filled in, as JSON. Never a secret.

    Parameters
    ----------
    section:
        One section of the file; all of them without it.
    """
    from gainsight_pipelines.cli.output import print_json
    from gainsight_pipelines.settings import load_settings

    found = load_settings(settings)
    print_json(found.effective(section))
    for error in found.unread():
        output.say(str(error))
    return 1 if found.unread() else 0


Section = Annotated[str, Parameter(help="gainsight, primary_crm, common, company, activity, surveys, …")]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", help="Show what would change, write nothing.")]
DagsterUrl = Annotated[
    str | None,
    Parameter(
        name="--dagster",
        env_var="DAGSTER_WEBSERVER_URL",
        help="Address of the Dagster UI: has it load what was written.",
    ),
]
VersionNumber = Annotated[int, Parameter(help="As `settings history` lists it.", validator=_between(1, 999_999))]


@settings_app.command(name="set")
def settings_set(
    place: Annotated[str, Parameter(help="Like surveys.lookback_days or surveys.objects[0].survey_type.")],
    value: Annotated[str, Parameter(allow_leading_hyphen=True, help="YAML or JSON; null for nothing.")],
    /,
    *,
    dry_run: DryRun = False,
    dagster: DagsterUrl = None,
    settings: SettingsPath = None,
) -> int:
    """Change one setting in the file. Its comments stay; what will not do isn't written."""
    from gainsight_pipelines.cli.settings_file import set_command

    return set_command(place, value, is_dry=dry_run, dagster=dagster, path=settings)


@settings_app.command(name="unset")
def settings_unset(
    place: Annotated[str, Parameter(help="Like surveys.filter or surveys.objects[1].")],
    /,
    *,
    dry_run: DryRun = False,
    dagster: DagsterUrl = None,
    settings: SettingsPath = None,
) -> int:
    """Take one setting out of the file, so that its default holds; or a row of a list, or an entry of a mapping."""
    from gainsight_pipelines.cli.settings_file import unset_command

    return unset_command(place, is_dry=dry_run, dagster=dagster, path=settings)


@settings_app.command(name="edit")
def settings_edit(
    section: Section,
    /,
    *,
    json: Annotated[
        bool, Parameter(name="--json", negative="", help="As JSON with all defaults, not as it stands in the file.")
    ] = False,
    dry_run: DryRun = False,
    dagster: DagsterUrl = None,
    settings: SettingsPath = None,
) -> int:
    """Change a section in your editor (VISUAL, EDITOR), or take it from standard input."""
    from gainsight_pipelines.cli.settings_file import edit_command

    return edit_command(section, as_json=json, is_dry=dry_run, dagster=dagster, path=settings)


@settings_app.command(name="diff")
def settings_diff(
    version: Annotated[int | None, Parameter(help="A former version; else the last that was different.")] = None,
    /,
    *,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Show what has changed in the settings file since a former version."""
    from gainsight_pipelines.cli.settings_file import diff_command

    return diff_command(version, path=settings, as_json=json)


@settings_app.command(name="history")
def settings_history(*, settings: SettingsPath = None, json: Json = False) -> int:
    """List the versions of the settings file that were written: when, by whom, how."""
    from gainsight_pipelines.cli.settings_file import history_command

    return history_command(path=settings, as_json=json)


@settings_app.command(name="restore")
def settings_restore(
    version: VersionNumber,
    /,
    *,
    dry_run: DryRun = False,
    dagster: DagsterUrl = None,
    settings: SettingsPath = None,
) -> int:
    """Write a former version of the settings file again, if it will still do."""
    from gainsight_pipelines.cli.settings_file import restore_command

    return restore_command(version, is_dry=dry_run, dagster=dagster, path=settings)


for command in EXAMPLES:
    found = app
    for word in command.split():
        found = found[word]
    found.help_epilogue = epilogue(command)
