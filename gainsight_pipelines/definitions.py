"""The Dagster code location: definitions from the settings file, nothing else."""

from gainsight_pipelines.orchestration.build import build_definitions
from gainsight_pipelines.settings import load_settings

defs = build_definitions(load_settings())
