"""Monitoring without the Dagster UI: metrics for Prometheus, and alerts. No Dagster here."""
