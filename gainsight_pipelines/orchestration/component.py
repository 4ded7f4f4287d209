"""The component: a Gainsight tenant in your own Dagster project, in a few lines of YAML."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from dagster.components.resolved.context import ResolutionContext
from dagster.components.scaffold.scaffold import Scaffolder, ScaffoldRequest
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import BaseModel, Field

from gainsight_pipelines.orchestration.assets import GainsightPull
from gainsight_pipelines.orchestration.build import build_gainsight_definitions
from gainsight_pipelines.orchestration.names import DEFAULT_PREFIX
from gainsight_pipelines.orchestration.tenant import Running
from gainsight_pipelines.orchestration.translator import DagsterGainsightTranslator, GainsightAssetProps


class GainsightScaffoldParams(BaseModel):
    """Parameters of `dg scaffold defs`."""

    settings: str = "gainsight.yaml"
    prefix: str = DEFAULT_PREFIX


class GainsightScaffolder(Scaffolder[GainsightScaffoldParams]):
    """Writes `defs.yaml`, and a settings file to fill in if there is none."""

    @classmethod
    def get_scaffold_params(cls) -> type[GainsightScaffoldParams]:
        return GainsightScaffoldParams

    def scaffold(self, request: ScaffoldRequest[GainsightScaffoldParams]) -> None:
        import gainsight_pipelines.settings as settings_package

        said = request.params
        attributes = {"settings": said.settings}
        if said.prefix != DEFAULT_PREFIX:
            attributes |= {"prefix": said.prefix, "secrets_prefix": f"{said.prefix.upper()}_"}
        scaffold_component(request, attributes)
        path = request.target_path / said.settings
        if not path.exists():
            template = Path(settings_package.__file__).with_name("template.yaml")
            path.write_text(template.read_text("utf-8"), "utf-8")


def _resolved(context: ResolutionContext, settings: str | dict[str, Any]) -> str | dict[str, Any]:
    """The path, or the sections with templates in braces resolved at any depth."""
    resolved = context.resolve_value(settings)
    return resolved if isinstance(resolved, str) else dict(resolved)


@dg.scaffold_with(GainsightScaffolder)
class GainsightComponent(dg.Component, dg.Resolvable, dg.Model):
    """Pulls Gainsight companies, timeline activities, survey responses and product usage into PostgreSQL.

    Every record is matched to an account of Salesforce or HubSpot. Each Gainsight object is an asset, with checks, a
    schedule and, for surveys, backfills by day.

    ```yaml
    type: gainsight_pipelines.GainsightComponent
    attributes:
      settings: gainsight.yaml
      translation:
        group_name: customer_success
    ```

    Secrets come from the environment, never from here. If the settings are invalid, the assets show the mistakes, and
    the code location still loads.
    """

    settings: Annotated[
        str | dict[str, Any],
        dg.Resolver(
            _resolved,
            model_field_type=str | dict[str, Any],
            description="Path of the settings file, relative to this file; or its sections.",
            examples=["gainsight.yaml", {"gainsight": {"base_url": "https://your-tenant.gainsightcloud.com"}}],
        ),
    ] = "gainsight.yaml"
    select: list[str] | None = Field(
        default=None,
        description="Pulls to include, by name or section (company, activity, surveys, …); by default all enabled.",
    )
    schedules: Running = Field(
        default="running",
        description=(
            "running: schedules and the gate sensor are on; stopped: to be started in the UI; none: no schedules, for"
            " your own automation (the cadence is in each asset's metadata)."
        ),
    )
    prefix: str = Field(
        default=DEFAULT_PREFIX,
        description="Prefix of jobs, schedules, sensors, pools and resources: unique per tenant.",
    )
    secrets_prefix: str = Field(
        default="",
        description="Prefix of the variables with secrets: with ACME_, the key is ACME_GAINSIGHT_API_KEY.",
    )
    translation: (
        Annotated[
            TranslationFn[GainsightAssetProps],
            TranslationFnResolver(template_vars_for_translation_fn=lambda props: {"props": props}),
        ]
        | None
    ) = Field(default=None, description="Attributes of the assets: key_prefix, group_name, owners, tags, and so on.")

    def get_asset_spec(self, props: GainsightAssetProps) -> dg.AssetSpec:
        """The spec of one asset before `translation`; override it for what YAML can't express."""
        return DagsterGainsightTranslator().get_asset_spec(props)

    def execute(self, context: dg.AssetExecutionContext, pull: GainsightPull) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
        """What a step does; override it to do something before or after `yield from pull.run(context)`."""
        yield from pull.run(context)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of the tenant, without an executor."""
        settings: str | Mapping[str, Any] | Path = self.settings
        if isinstance(settings, str):
            settings = context.path / Path(settings).expanduser()
        return build_gainsight_definitions(
            settings,
            translator=_Translator(self),
            prefix=self.prefix,
            select=self.select,
            schedules=self.schedules,
            secrets_prefix=self.secrets_prefix,
            execute=self.execute,
        )


class _Translator(DagsterGainsightTranslator):
    """Applies the component's method, then its YAML."""

    def __init__(self, component: GainsightComponent) -> None:
        self._component = component

    def get_asset_spec(self, props: GainsightAssetProps) -> dg.AssetSpec:
        spec = self._component.get_asset_spec(props)
        translation = self._component.translation
        return spec if translation is None else translation(spec, props)
