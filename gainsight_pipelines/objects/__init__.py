"""The Gainsight objects: what to read of each, and how a record becomes rows. No I/O, no Dagster.

A new Gainsight object takes one module here, one line in `registry.py` and one section of the settings.
"""
