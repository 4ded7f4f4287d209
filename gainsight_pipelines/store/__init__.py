"""PostgreSQL: where everything lands. Knows tables, transactions and locks; no Gainsight, no CRM, no Dagster."""
