"""The translator: how a pull becomes an asset's key, group, owners and so on; for teams with their own conventions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg

from gainsight_pipelines.orchestration.names import DEFAULT_PREFIX, by_day


@dataclass(frozen=True, slots=True)
class GainsightAssetProps:
    """What an asset stands for.

    Attributes:
        kind: `pull` (one Gainsight object), `backfill` (the days of a survey object), `account` (the CRM's accounts,
            observed and never written) or `delivery` (a table in the warehouse).
        name: of the pull, like `company` or `survey_nps_survey__gc`; `account` for the accounts; of the table or view
            that is delivered.
        gainsight_object: the API name of the Gainsight object; None for the accounts, and if the settings are invalid.
        table: the table that it fills; None if the settings are invalid.
        description: Markdown.
        cron: its schedule; None: it has none.
        timezone: IANA time zone of `cron`.
        owners: `common.owners` of the settings.
        prefix: of the tenant's definitions.
        kinds: PostgreSQL, the CRM, or dlt and the warehouse.
        metadata: table, columns, cadence and the like.
        tags: of the asset.
    """

    kind: Literal["pull", "backfill", "account", "delivery"]
    name: str
    gainsight_object: str | None
    table: str | None
    description: str
    cron: str | None = None
    timezone: str = "UTC"
    owners: tuple[str, ...] = ()
    prefix: str = DEFAULT_PREFIX
    kinds: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class DagsterGainsightTranslator:
    """Creates the asset spec of each pull. Subclass it to change what `get_asset_spec` returns.

    ```python
    class Ours(DagsterGainsightTranslator):
        def get_asset_spec(self, props: GainsightAssetProps) -> dg.AssetSpec:
            return super().get_asset_spec(props).replace_attributes(group_name="customer_success")
    ```
    """

    def get_asset_spec(self, props: GainsightAssetProps) -> dg.AssetSpec:
        """The spec of one asset. Tags and metadata that the definitions need are added if missing."""
        own = () if props.prefix == DEFAULT_PREFIX else (props.prefix,)
        key, group = {
            "pull": (("gainsight", props.name), "gainsight"),
            "backfill": (("gainsight", by_day(props.name)), "survey_backfill"),
            "account": (("crm", "account"), "primary_crm"),
            "delivery": (("delivery", props.name), "delivery"),
        }[props.kind]
        return dg.AssetSpec(
            key=dg.AssetKey([*own, *key]),
            group_name="_".join((*own, group)),
            description=props.description,
            metadata=props.metadata,
            tags=props.tags,
            kinds=set(props.kinds),
            owners=props.owners,
        )
