"""Automation conditions for assets downstream of ours."""

import dagster as dg


def on_changed_data() -> dg.AutomationCondition:  # type: ignore[type-arg]
    """Like `AutomationCondition.eager()`, but only where upstream data have changed.

    A pull that finds nothing new materializes its asset all the same, with the data version that it had. `eager()`
    takes that for news and runs what is downstream; this doesn't.
    """
    condition = dg.AutomationCondition
    changed = condition.newly_updated() & condition.data_version_changed()
    return condition.eager().replace("newly_updated", changed).with_label("on_changed_data")
