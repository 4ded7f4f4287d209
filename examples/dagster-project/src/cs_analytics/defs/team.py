"""What the team had before: an executor, a resource and a job of its own, with names that anybody would choose."""

import dagster as dg


class Store(dg.ConfigurableResource):
    """Where the team keeps its numbers."""

    name: str = "numbers"


@dg.op
def read_orders(context: dg.OpExecutionContext, store: Store) -> None:
    context.log.info("Orders are read into %s.", store.name)


@dg.job
def sync_all() -> None:
    read_orders()


defs = dg.Definitions(
    jobs=[sync_all],
    resources={"store": Store()},
    executor=dg.in_process_executor.configured({"retries": {"disabled": {}}}, name="of_the_team"),
)
