"""Gainsight's REST API: questions, answers, metadata and reading page by page. Knows no Dagster and no database."""
