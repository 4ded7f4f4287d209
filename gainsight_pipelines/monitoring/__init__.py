"""What an operator watches without opening the UI: metrics for Prometheus, alerts. No Dagster here."""
