"""Account health: how engaged each account is, from what Gainsight's timeline says."""

import dagster as dg
import pandas as pd

from gainsight_pipelines import on_changed_data

ACTIVITY = dg.AssetIn(
    ["cs", "gainsight", "activity"], metadata={"columns": ["account_id", "activity_type", "occurred_at"]}
)


@dg.asset(ins={"activity": ACTIVITY}, automation_condition=on_changed_data(), group_name="health")
def engagement(activity: pd.DataFrame) -> dg.MaterializeResult:
    """Activities and the last of them, by account. Runs whenever activities have changed."""
    by_account = activity.dropna(subset=["account_id"]).groupby("account_id")
    found = by_account["occurred_at"].agg(["count", "max"])
    return dg.MaterializeResult(
        metadata={
            "accounts": len(found),
            "activities": int(found["count"].sum()),
            "latest": str(found["max"].max()),
            "types": {str(name): int(count) for name, count in activity["activity_type"].value_counts().items()},
        }
    )


@dg.asset(deps=[["acme", "gainsight", "company"]], automation_condition=on_changed_data(), group_name="health")
def acme_review() -> None:
    """Something that needs Acme's companies to be there, and reads them elsewhere."""
