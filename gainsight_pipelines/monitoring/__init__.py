"""What an operator watches without opening the UI: metrics for Prometheus. No Dagster here."""
