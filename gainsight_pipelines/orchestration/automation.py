"""Automation conditions for assets downstream of ours."""

import dagster as dg

DELIVERED_AGAIN = "17 * * * *"
"""When a delivery that failed is tried again: the warehouse was away, or refused."""


def on_changed_data() -> dg.AutomationCondition:  # type: ignore[type-arg]
    """Like `AutomationCondition.eager()`, but only if upstream data have changed.

    A pull that finds nothing new still materializes its asset, with an unchanged data version. `eager()` would run the
    downstream assets; this condition doesn't.
    """
    condition = dg.AutomationCondition
    changed = condition.newly_updated() & condition.data_version_changed()
    return condition.eager().replace("newly_updated", changed).with_label("on_changed_data")


def delivery_condition() -> dg.AutomationCondition:  # type: ignore[type-arg]
    """When upstream data have changed, and hourly after a failure.

    Like `on_changed_data()`, except that a pull that never ran holds nothing up: others fill the same table.
    """
    condition = dg.AutomationCondition
    changed = condition.newly_updated() & condition.data_version_changed()
    eager = condition.eager().without(~condition.any_deps_missing()).replace("newly_updated", changed)
    again = condition.execution_failed() & condition.cron_tick_passed(DELIVERED_AGAIN) & ~condition.in_progress()
    return (eager | again).with_label("delivery")
