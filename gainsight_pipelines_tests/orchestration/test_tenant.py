"""One tenant among several: it reads its own variables, and its messages name them."""

from __future__ import annotations

import dagster as dg
import pytest
import yaml

from gainsight_pipelines.errors import VARIABLE
from gainsight_pipelines.orchestration.build import build_gainsight_definitions
from gainsight_pipelines.settings import parse_settings
from gainsight_pipelines_tests.orchestration.running import Located, failure_of

pytestmark = pytest.mark.ticks

DATABASE = "GAINSIGHT_PIPELINES_DATABASE_URL"


@pytest.mark.parametrize(
    ("kind", "variable", "value"),
    [
        ("salesforce", "SALESFORCE_CLIENT_SECRET", "wrong-one"),
        ("salesforce", "SALESFORCE_CLIENT_ID", None),
        ("hubspot", "HUBSPOT_ACCESS_TOKEN", "wrong-one"),
        ("hubspot", "HUBSPOT_BASE_URL", "https://127.0.0.1:9"),
        ("hubspot", "GAINSIGHT_API_KEY", "wrong-one"),
        ("hubspot", "GAINSIGHT_API_KEY", None),
        ("hubspot", DATABASE, "mysql://127.0.0.1/none"),
    ],
)
def test_what_is_wrong_names_the_variable_as_this_tenant_has_it(
    located: Located, monkeypatch: pytest.MonkeyPatch, kind: str, variable: str, value: str | None
) -> None:
    """The variables without the prefix have correct values: they are another tenant's."""
    pulling = located.pulling
    environ = {**pulling.sandbox.env, DATABASE: pulling.store.url, variable: value}
    for name, each in environ.items():
        if each is not None:
            monkeypatch.setenv(f"ACME_{name}", each)
    pulling.content = yaml.safe_load(pulling.sandbox.settings_file(kind).read_text())
    path = located.folder / "gainsight.yaml"
    path.write_text(yaml.safe_dump(pulling.content))
    assert not parse_settings(path.read_text()).errors
    definitions = build_gainsight_definitions(path, prefix="acme", secrets_prefix="ACME_")
    result = definitions.resolve_job_def("acme_pull_company").execute_in_process(
        instance=located.instance, raise_on_error=False
    )
    said = str(failure_of(result).description)
    assert f"ACME_{variable}" in said or "the API key was rejected" in said
    assert VARIABLE.search(said) is None
    if variable != DATABASE:
        ((error,),) = pulling.query("SELECT error FROM sync_run")
        assert error == said
    if variable.startswith(("SALESFORCE", "HUBSPOT")):
        with dg.build_sensor_context(
            instance=located.instance,
            repository_def=definitions.get_repository_def(),
            resources=dict(definitions.resources or {}),
            sensor_name="acme_gate",
        ) as context:
            definitions.get_repository_def().get_sensor_def("acme_gate").evaluate_tick(context)
        ((message,),) = pulling.query("SELECT message FROM crm_gate")
        assert f"ACME_{variable}" in message
        assert VARIABLE.search(message) is None
