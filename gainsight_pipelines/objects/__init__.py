"""The Gainsight objects: what to read of each, and how a record becomes rows. No I/O, no Dagster.

A new Gainsight object is one new module here, one line in `catalog.py` and one section of the settings.
"""
