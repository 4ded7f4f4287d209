"""Fixtures that all tests may use; each kind has its own module."""

from __future__ import annotations

pytest_plugins = ["gainsight_pipelines_tests.databases", "gainsight_pipelines_tests.pulling"]
