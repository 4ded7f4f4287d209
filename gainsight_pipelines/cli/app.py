"""The commands of `gainsight-pipelines`: their options and help. The modules that do the work are imported on use."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, UnusedCliTokensError
from cyclopts.help import DefaultFormatter

from gainsight_pipelines import __version__, logs
from gainsight_pipelines.cli import completion, output
from gainsight_pipelines.cli.examples import EXAMPLES, epilogue
from gainsight_pipelines.cli.invocation import PROGRAM
from gainsight_pipelines.errors import PipelineError, UsageError


def _shown_default(value: object) -> object:
    """The default that `--help` shows: none for False, None and empty lists."""
    return None if value is None or value is False or value == () else value


class _HelpFormatter(DefaultFormatter):
    """Cyclopts' formatter, without its trailing spaces where a description wraps."""

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        with console.capture() as captured:
            super().render_description(console, options, description)
        lines = (line.rstrip() for line in captured.get().splitlines())
        console.out(*lines, sep="\n", highlight=False)


app = App(
    name="gainsight-pipelines",
    version=__version__,
    help="Pull Gainsight data into PostgreSQL and match it to Salesforce or HubSpot accounts, with Dagster.",
    help_format="plaintext",  # Markdown would take the end of survey_<object> for a tag
    help_formatter=_HelpFormatter(),
    default_parameter=Parameter(show_default=_shown_default),
    result_action="return_value",
)

app.register_install_completion_command(help="Install completion of commands, options and the tenant's names.")

SettingsPath = Annotated[
    Path | None,
    Parameter(name="--settings", help="Settings file. Default: GAINSIGHT_PIPELINES_SETTINGS, or ./gainsight.yaml."),
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document to standard output.")]
Fresh = Annotated[bool, Parameter(negative="", help="Ignore names cached in the last 10 minutes.")]
CrmKind = Annotated[Literal["salesforce", "hubspot"], Parameter(help="CRM that the sandbox runs.")]

PAGE_PORT = 3001
MAX_PORT = 65_535

OBJECTS_BEFORE_COLLECTION = 100_000


def _between(least: float, most: float) -> Callable[[Any, Any], None]:
    """A validator that names the whole range in its error."""

    def check(_type: Any, value: float | None) -> None:
        if value is not None and not least <= value <= most:
            raise ValueError(f"Must be between {least:,} and {most:,}.")

    return check


def main() -> None:
    """Runs the command. Exit status: 0, 1 (failed), 2 (incorrect call), 130 (Ctrl-C) or 141 (broken pipe)."""
    # Imported modules are not garbage. Collecting, above all at exit, takes a third of the time of `status`.
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
    output.prepare_streams()
    status = _status()
    gc.freeze()
    sys.exit(status)


def _misuse(error: CycloptsError) -> str:
    """What is wrong with the call, and the command that shows the help."""
    command = " ".join(error.command_chain or ())
    text = str(error).strip()
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.argument.name
        text = f"{name} needs a value." if name.startswith("-") else f"`{command}` needs {name}."
    if isinstance(error, UnusedCliTokensError):
        text = f"`{command}` takes no {' '.join(error.unused_tokens or ())}."
    return f"{text} See `{' '.join(filter(None, (PROGRAM, command, '--help')))}`."


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
    except BrokenPipeError:  # `… | head` has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards the buffered output
        return 141
    except Exception as error:  # noqa: BLE001 - the last resort: users see a sentence, not a traceback
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
    everything: Annotated[bool, Parameter(name="--all", negative="", help="Pull every configured object.")] = False,
    accept_deletions: Annotated[
        bool,
        Parameter(negative="", help="Check for deletions now, and mark any number of rows as deleted."),
    ] = False,
    full: Annotated[bool, Parameter(negative="", help="Read all records again after the normal pull.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Pull objects now, each in its own process and Dagster run. The exit status is 1 if one failed."""
    from gainsight_pipelines.cli.pull_process import pull_process

    if bool(objects) == everything:
        raise UsageError("Name the objects to run, or use --all.", "For example: gainsight-pipelines run company.")
    given = {"accept_deletions": accept_deletions, "full_refresh": full}
    config = {name: True for name, is_given in given.items() if is_given}
    with pull_process() as process:
        from gainsight_pipelines.cli.commands import run_command

        return run_command(process, objects, everything=everything, config=config, path=settings, as_json=json)


@app.command
def unmatched(
    name: Annotated[
        str | None, Parameter(help="company, activity, surveys, survey_<object> or product_usage. Default: all.")
    ] = None,
    /,
    *,
    reason: Annotated[
        Literal["no_company", "no_account", "ambiguous"] | None, Parameter(help="Show only records with this reason.")
    ] = None,
    limit: Annotated[
        int, Parameter(help="Number of records to show, 1 to 10,000.", validator=_between(1, 10_000))
    ] = 50,
    csv: Annotated[Path | None, Parameter(help="Write all records to this file instead.")] = None,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """List records without an account, with the reason. Later runs match them once the account exists."""
    from gainsight_pipelines.cli.commands import unmatched_command

    return unmatched_command(name, reason=reason, limit=limit, file=csv, path=settings, as_json=json)


@app.command
def export(  # noqa: PLR0913 - an option each
    table: Annotated[
        str,
        Parameter(
            help="A table or view from docs/data-contract.md, or the typed view of an object.",
            completer=completion.table_names,
        ),
    ],
    /,
    *,
    to: Annotated[Path, Parameter(help="Output file: .parquet, .csv or .xlsx.")],
    columns: Annotated[
        tuple[str, ...], Parameter(negative="", help="Columns to write, in order, separated by commas.")
    ] = (),
    where: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Rows to write, as COLUMN=VALUE; COLUMN= for empty values. Repeatable."),
    ] = (),
    since: Annotated[str | None, Parameter(help="Write only rows changed at or after this time (ISO, UTC).")] = None,
    since_column: Annotated[str | None, Parameter(help="Column that --since compares. Default: changed_at.")] = None,
    with_deleted: Annotated[bool, Parameter(negative="", help="Include rows deleted in Gainsight or the CRM.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Write a table or view to a Parquet, CSV or Excel file. Replaces an existing file."""
    from gainsight_pipelines.cli.export import export_command, wanted_of

    wanted = wanted_of(table, columns, where, since, since_column, with_deleted=with_deleted)
    return export_command(wanted, file=to, path=settings, as_json=json)


@app.command
def deliver(
    *tables: Annotated[
        str,
        Parameter(
            help="Tables and views. Default: `delivery.tables`, or all of them.", completer=completion.table_names
        ),
    ],
    full: Annotated[bool, Parameter(negative="", help="Replace the delivered tables with all rows.")] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="Show what would be delivered; deliver nothing.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Deliver rows changed since the last delivery to the warehouse in the settings, through dlt."""
    from gainsight_pipelines.cli.deliver import deliver_command

    return deliver_command(tables, is_full=full, is_dry=dry_run, path=settings, as_json=json)


@app.command
def status(
    *,
    watch: Annotated[bool, Parameter(negative="", help="Keep the display up to date until Ctrl-C.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Show the gate, and the last and next run of each configured object."""
    from gainsight_pipelines.cli.status import status_command

    return status_command(path=settings, as_json=json, is_watched=watch)


@app.command
def metrics(
    *,
    serve: Annotated[
        int | None,
        Parameter(validator=_between(0, MAX_PORT), help="Serve /metrics, /healthz and /readyz on this port."),
    ] = None,
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 in a container.")] = "127.0.0.1",
    settings: SettingsPath = None,
) -> int:
    """Print metrics in Prometheus text format, or serve them until Ctrl-C."""
    from gainsight_pipelines.cli.metrics import metrics_command

    return metrics_command(port=serve, host=host, path=settings)


alerts_app = App(name="alerts", help="Show firing alerts, and send test messages.")
app.command(alerts_app)


@alerts_app.command(name="list")
def alerts_list(*, settings: SettingsPath = None, json: Json = False) -> int:
    """Show the alerts that are firing and when each was sent. Sends nothing."""
    from gainsight_pipelines.cli.alerts import list_command

    return list_command(path=settings, as_json=json)


@alerts_app.command(name="test")
def alerts_test(*, settings: SettingsPath = None, json: Json = False) -> int:
    """Send a test message to each target in GAINSIGHT_PIPELINES_ALERTS_URLS. The exit status is 1 if one failed."""
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
    delivered: Annotated[
        bool, Parameter(help="dbt reads the tables in the warehouse: the sources are the assets of their deliveries.")
    ] = False,
    settings: SettingsPath = None,
) -> int:
    """Print dbt's sources.yml for the assets. dagster-dbt maps its tables to the same assets."""
    from gainsight_pipelines.cli.dbt import dbt_sources_command

    return dbt_sources_command(
        name=name, prefix=prefix, key_prefix=key_prefix, is_delivered=delivered, into=into, path=settings
    )


@app.command
def init(  # noqa: PLR0913 - an answer each
    *,
    non_interactive: Annotated[
        bool,
        Parameter(negative="", help="Do not ask: use defaults, these options, and secrets from the environment."),
    ] = False,
    base_url: Annotated[str | None, Parameter(help="Gainsight's base URL.")] = None,
    gainsight_login: Annotated[
        Literal["api-key", "oauth-client"] | None, Parameter(help="Gainsight credentials to use.")
    ] = None,
    crm: Annotated[Literal["salesforce", "hubspot"] | None, Parameter(help="CRM that owns the accounts.")] = None,
    gsid_field: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            help="CRM field that holds the GSID, or - for none.",
            completer=completion.account_field_names,
        ),
    ] = None,
    arr_field: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            help="CRM field that holds ARR, or - for none.",
            completer=completion.account_field_names,
        ),
    ] = None,
    renewal_date_field: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True,
            help="CRM field that holds the renewal date, or - for none.",
            completer=completion.account_field_names,
        ),
    ] = None,
    crm_id_field: Annotated[str | None, Parameter(help="Company field that holds the CRM's account id.")] = None,
    survey_object: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="Object with survey responses. Repeatable.",
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
            help="Further object to pull. Repeatable.",
            completer=completion.object_names,
        ),
    ] = (),
    without: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Section to disable: company, activity, surveys or product_usage. Repeatable."),
    ] = (),
    sandbox: Annotated[
        Path | None, Parameter(help="Folder of a running sandbox that is not found automatically.")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative="", help="With --non-interactive: change existing files.")] = False,
    settings: SettingsPath = None,
) -> int:
    """Create gainsight.yaml and .env: ask for each value, suggest answers from the tenant, and check them.

    Changes to existing files are shown before they are written. Secrets are never taken as options.
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
        Parameter(help="Write how the tenant's API behaves to this file, without data, for `sandbox --like`."),
    ] = None,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Check everything that the settings name: credentials, database, objects, fields, filters and matching.

    Prints one line per check, with what to do. The exit status is 1 if one failed.
    """
    from gainsight_pipelines.cli.validate import validate_command

    return validate_command(report=report, path=settings, as_json=json)


@app.command
def objects(
    pattern: str | None = None, /, *, fresh: Fresh = False, settings: SettingsPath = None, json: Json = False
) -> int:
    """List the tenant's objects, for `surveys.objects`, `product_usage.object` and `objects`.

    Parameters
    ----------
    pattern:
        Part of a name or label, or a pattern with * and ?.
    """
    from gainsight_pipelines.cli.pickers import objects_command

    return objects_command(pattern, is_fresh=fresh, path=settings, as_json=json)


@app.command
def fields(
    object: Annotated[str, Parameter(completer=completion.object_names)],  # noqa: A002 - as the command line has it
    pattern: str | None = None,
    /,
    *,
    fill: Annotated[bool, Parameter(negative="", help="Show how many of 200 sampled records have a value.")] = False,
    fresh: Fresh = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """List the fields of an object, with labels and types.

    Parameters
    ----------
    object:
        API name, as in `gainsight-pipelines objects`.
    pattern:
        Part of a name or label, or a pattern with * and ?.
    """
    from gainsight_pipelines.cli.pickers import fields_command

    return fields_command(object, pattern, with_fill=fill, is_fresh=fresh, path=settings, as_json=json)


@app.command
def crm_fields(
    pattern: str | None = None,
    /,
    *,
    fill: Annotated[bool, Parameter(negative="", help="Show how many of 200 sampled accounts have a value.")] = False,
    fresh: Fresh = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """List the fields of the CRM's accounts, for `gsid_field` and `primary_crm.fields`.

    Parameters
    ----------
    pattern:
        Part of a name or label, or a pattern with * and ?.
    """
    from gainsight_pipelines.cli.pickers import crm_fields_command

    return crm_fields_command(pattern, with_fill=fill, is_fresh=fresh, path=settings, as_json=json)


@app.command
def categories(
    *names: Annotated[str, Parameter(help="With --add: CATEGORY, or CATEGORY=TYPE to override the suggested type.")],
    add: Annotated[
        bool, Parameter(negative="", help="Add the named categories, or all unmapped ones, to the settings.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="With --add: show the changes; write nothing.")] = False,
    resample: Annotated[
        bool, Parameter(negative="", help="Sample fewer activities than last time, for a slow tenant.")
    ] = False,
    fresh: Fresh = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Show the reporting categories of recent activities with their types, and suggest types for unmapped ones.

    The types are EMAIL, MEETING and TYPE_MANUAL (a manual note).
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
        str | None, Parameter(help="Gainsight where clause as JSON, or @FILE. Replaces the pull's own filter.")
    ] = None,
    records: Annotated[int, Parameter(help="Number of records to show, 1 to 50.", validator=_between(1, 50))] = 3,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Show what a pull or a filter would read: the number of records, and samples as raw and stored values.

    Writes nothing.

    Parameters
    ----------
    object:
        company, activity, survey_<object> or product_usage, or any object of the tenant (raw values only).
    """
    from gainsight_pipelines.cli.preview import preview_command

    return preview_command(object, filter_text=filter, size=records, path=settings, as_json=json)


@app.command
def demo(*, crm: CrmKind = "salesforce", json: Json = False) -> int:
    """Pull made-up data from a local Gainsight and CRM into an embedded PostgreSQL, and show the result."""
    from gainsight_pipelines.cli.demo import demo_command

    return demo_command(crm, as_json=json)


@app.command
def dev(
    *,
    sandbox: Annotated[bool, Parameter(negative="", help="Use a local Gainsight and CRM with made-up data.")] = False,
    crm: CrmKind = "salesforce",
    port: Annotated[int, Parameter(help="Port of the Dagster UI.", validator=_between(1, MAX_PORT))] = 3000,
    settings_page: Annotated[
        tuple[Annotated[int, Parameter(validator=_between(0, MAX_PORT))], ...] | None,
        Parameter(
            negative="",
            consume_multiple=(0, 1),
            help=f"Also open the settings page on this port, by default {PAGE_PORT}; 0 for a free port.",
        ),
    ] = None,
    settings: SettingsPath = None,
) -> int:
    """Start the Dagster UI and daemon for the settings file. Ctrl-C stops everything."""
    from gainsight_pipelines.cli.dev import dev_command

    page_port = None if settings_page is None else next(iter(settings_page), PAGE_PORT)
    return dev_command(is_sandbox=sandbox, crm=crm, port=port, page_port=page_port, path=settings)


@app.command(name="settings-page")
def settings_page(
    *,
    dagster: Annotated[
        str | None,
        Parameter(
            env_var="DAGSTER_WEBSERVER_URL", help="URL of the Dagster UI, which runs pulls and reloads the settings."
        ),
    ] = None,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, Parameter(help="Port to listen on; 0 for a free port.", validator=_between(0, MAX_PORT))
    ] = PAGE_PORT,
    public_url: Annotated[
        str | None,
        Parameter(help="URL that browsers use if a reverse proxy is in front: https://settings.example.com."),
    ] = None,
    answer_seconds: Annotated[
        float,
        Parameter(help="Timeout of a lookup in the tenant or the CRM, up to 600 s.", validator=_between(0.1, 600)),
    ] = 25.0,
    settings: SettingsPath = None,
) -> int:
    """Serve the settings page until Ctrl-C: settings, live pickers, checks and the status banner in a browser."""
    from gainsight_pipelines.cli.settings_page import settings_page_command

    return settings_page_command(
        host=host, port=port, public_url=public_url, dagster=dagster, answer_seconds=answer_seconds, path=settings
    )


@app.command
def sandbox(
    *,
    crm: CrmKind = "salesforce",
    folder: Annotated[Path | None, Parameter(help="Folder for the sandbox's files.")] = None,
    like: Annotated[
        Path | None, Parameter(help="Report from `validate --report`: behave like that tenant's API.")
    ] = None,
) -> int:
    """Run the local Gainsight, Salesforce and HubSpot until Ctrl-C, without pulling."""
    from gainsight_pipelines.cli.sandbox import sandbox_command

    return sandbox_command(crm, folder, like)


@app.command
def migrate(
    *,
    drop_gone_columns: Annotated[
        bool, Parameter(negative="", help="Recreate typed views without the columns of removed fields.")
    ] = False,
    wait: Annotated[
        float, Parameter(help="Seconds to wait for a database that doesn't answer yet.", validator=_between(0, 3600))
    ] = 0.0,
    settings: SettingsPath = None,
) -> int:
    """Migrate the database to this version. `run` and `dev` do so too if their role is allowed to."""
    from gainsight_pipelines.cli.commands import migrate_command

    return migrate_command(drops_gone_columns=drop_gone_columns, wait=wait, path=settings)


@app.command
def grants(
    *,
    role: Annotated[str, Parameter(help="Existing role to grant privileges to.")],
    kind: Annotated[
        Literal["puller", "reader", "migrator"],
        Parameter(name="--as", help="Use of the role: pulls, reading only, or migrations."),
    ] = "puller",
    made_by: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="Role that will create tables or views, which are granted too. Default: the role that runs the SQL.",
        ),
    ] = None,
    settings: SettingsPath = None,
) -> int:
    """Print the SQL that grants a role the privileges it needs, and no more. Does not run it."""
    from gainsight_pipelines.cli.grants import grants_command
    from gainsight_pipelines.store.roles import Kind

    return grants_command(role=role, kind=Kind(kind), made_by=made_by or (), path=settings)


@app.command
def purge(
    *,
    older_than: Annotated[
        int,
        Parameter(
            help="Delete runs that ended more than this many days ago, 8 to 36,500.",
            validator=_between(8, 36_500),  # asset checks look back one week
        ),
    ] = 90,
    rejected_older_than: Annotated[
        int | None,
        Parameter(
            help="Also delete rejected records last seen more than this many days ago, 8 to 36,500.",
            validator=_between(8, 36_500),
        ),
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Show what would be deleted; delete nothing.")] = False,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Delete old runs and their events. Pulled data and each object's last successful run are kept."""
    from gainsight_pipelines.cli.purge import purge_command

    return purge_command(
        days=older_than, rejected_days=rejected_older_than, is_dry=dry_run, path=settings, as_json=json
    )


@app.command
def reset(
    *,
    everything: Annotated[
        bool, Parameter(name="--all", negative="", help="Confirm that all pulled data may be deleted.")
    ] = False,
    settings: SettingsPath = None,
) -> int:
    """Empty all tables, for example to reuse the database for another tenant. Requires --all."""
    from gainsight_pipelines.cli.commands import reset_command

    return reset_command(is_confirmed=everything, path=settings)


@app.command
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors."""
    from gainsight_pipelines.cli.output import print_json
    from gainsight_pipelines.settings import settings_schema

    print_json(settings_schema())


settings_app = App(name="settings", help="Show and change the settings. Changes are validated, versions are kept.")
app.command(settings_app)


@settings_app.command(name="show")
def settings_show(section: str | None = None, *, settings: SettingsPath = None) -> int:
    """Print the effective settings, with defaults, as JSON. Secrets are never shown.

    Parameters
    ----------
    section:
        Section to print. Default: all.
    """
    from gainsight_pipelines.cli.output import print_json
    from gainsight_pipelines.settings import load_settings

    found = load_settings(settings)
    print_json(found.effective(section))
    for error in found.unread():
        output.say(str(error))
    return 1 if found.unread() else 0


Section = Annotated[str, Parameter(help="gainsight, primary_crm, common, company, activity, surveys, …")]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", help="Show the changes; write nothing.")]
DagsterUrl = Annotated[
    str | None,
    Parameter(
        name="--dagster",
        env_var="DAGSTER_WEBSERVER_URL",
        help="URL of the Dagster UI, which then reloads the settings.",
    ),
]
VersionNumber = Annotated[
    int, Parameter(help="Version number, from `settings history`.", validator=_between(1, 999_999))
]


@settings_app.command(name="set")
def settings_set(
    place: Annotated[str, Parameter(help="Path such as surveys.lookback_days or surveys.objects[0].survey_type.")],
    value: Annotated[str, Parameter(allow_leading_hyphen=True, help="Value as YAML or JSON; null for none.")],
    /,
    *,
    dry_run: DryRun = False,
    dagster: DagsterUrl = None,
    settings: SettingsPath = None,
) -> int:
    """Change one setting. Comments stay; an invalid value is not written."""
    from gainsight_pipelines.cli.settings_file import set_command

    return set_command(place, value, is_dry=dry_run, dagster=dagster, path=settings)


@settings_app.command(name="unset")
def settings_unset(
    place: Annotated[str, Parameter(help="Path such as surveys.filter or surveys.objects[1].")],
    /,
    *,
    dry_run: DryRun = False,
    dagster: DagsterUrl = None,
    settings: SettingsPath = None,
) -> int:
    """Remove a setting, so that its default applies, or a list item or mapping entry."""
    from gainsight_pipelines.cli.settings_file import unset_command

    return unset_command(place, is_dry=dry_run, dagster=dagster, path=settings)


@settings_app.command(name="edit")
def settings_edit(
    section: Section,
    /,
    *,
    json: Annotated[
        bool,
        Parameter(name="--json", negative="", help="Edit as JSON with all defaults, instead of the YAML in the file."),
    ] = False,
    dry_run: DryRun = False,
    dagster: DagsterUrl = None,
    settings: SettingsPath = None,
) -> int:
    """Edit a section in your editor (VISUAL, EDITOR), or read it from standard input."""
    from gainsight_pipelines.cli.settings_file import edit_command

    return edit_command(section, as_json=json, is_dry=dry_run, dagster=dagster, path=settings)


@settings_app.command(name="diff")
def settings_diff(
    version: Annotated[int | None, Parameter(help="Earlier version. Default: the last one that differs.")] = None,
    /,
    *,
    settings: SettingsPath = None,
    json: Json = False,
) -> int:
    """Show the changes to the settings file since an earlier version."""
    from gainsight_pipelines.cli.settings_file import diff_command

    return diff_command(version, path=settings, as_json=json)


@settings_app.command(name="history")
def settings_history(*, settings: SettingsPath = None, json: Json = False) -> int:
    """List the versions of the settings file, with time, user and command."""
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
    """Restore an earlier version of the settings file, if it is still valid."""
    from gainsight_pipelines.cli.settings_file import restore_command

    return restore_command(version, is_dry=dry_run, dagster=dagster, path=settings)


for command in EXAMPLES:
    found = app
    for word in command.split():
        found = found[word]
    found.help_epilogue = epilogue(command)
