"""Dagster only: resources, assets and jobs out of the settings. No reading, matching or writing is done here."""
