"""Dagster: resources, assets, jobs, schedules and sensors built from the settings. No reading, matching or writing."""
