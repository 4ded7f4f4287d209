"""The store: tables, transactions and leases in PostgreSQL. No Gainsight, no CRM, no Dagster."""
