"""Gainsight's REST API: client, queries, metadata, and readers that fetch page by page. No Dagster, no database."""
