"""Gainsight data, matched to the accounts of Salesforce or HubSpot, in PostgreSQL, run by Dagster."""

__version__ = "0.1.0"
