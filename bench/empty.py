"""The smallest possible Dagster project, to compare ours with."""

import dagster as dg


@dg.asset
def empty() -> None:
    """Does nothing."""


defs = dg.Definitions(
    assets=[empty],
    jobs=[dg.define_asset_job("pull_empty", selection=[empty])],
    executor=dg.in_process_executor,
)
