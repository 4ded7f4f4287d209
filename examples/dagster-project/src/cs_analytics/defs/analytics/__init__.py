"""The dbt project `analytics` as assets."""
