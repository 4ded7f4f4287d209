"""The standalone Dagster code location: definitions from the settings file, each pull in one process."""

import dagster as dg

from gainsight_pipelines.orchestration.build import build_gainsight_definitions

# A pull is one step and its checks another: a process for each would take longer than most pulls.
defs = dg.Definitions.merge(build_gainsight_definitions(), dg.Definitions(executor=dg.in_process_executor))
