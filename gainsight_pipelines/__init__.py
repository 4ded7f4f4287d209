"""Gainsight data, matched to the accounts of Salesforce or HubSpot, in PostgreSQL, orchestrated by Dagster.

`__all__` is the public API, imported lazily. Everything else is internal and may change in any version.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gainsight_pipelines.orchestration.assets import GainsightPull
    from gainsight_pipelines.orchestration.automation import on_changed_data
    from gainsight_pipelines.orchestration.build import build_gainsight_definitions, load_gainsight_asset_specs
    from gainsight_pipelines.orchestration.component import GainsightComponent
    from gainsight_pipelines.orchestration.frames import GainsightFramesIOManager
    from gainsight_pipelines.orchestration.resources import GainsightResource
    from gainsight_pipelines.orchestration.translator import DagsterGainsightTranslator, GainsightAssetProps

__version__ = "0.1.0"

_HOMES = {
    "DagsterGainsightTranslator": "translator",
    "GainsightAssetProps": "translator",
    "GainsightComponent": "component",
    "GainsightFramesIOManager": "frames",
    "GainsightPull": "assets",
    "GainsightResource": "resources",
    "build_gainsight_definitions": "build",
    "load_gainsight_asset_specs": "build",
    "on_changed_data": "automation",
}

__all__ = [
    "DagsterGainsightTranslator",
    "GainsightAssetProps",
    "GainsightComponent",
    "GainsightFramesIOManager",
    "GainsightPull",
    "GainsightResource",
    "__version__",
    "build_gainsight_definitions",
    "load_gainsight_asset_specs",
    "on_changed_data",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.orchestration.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
