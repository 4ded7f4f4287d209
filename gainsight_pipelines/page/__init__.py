"""The settings page: edits the settings file in a browser, with live pickers and the status banner.

It reads and writes the file through ``settings.editing``, queries the tenant through ``discovery`` and starts runs
through Dagster's webserver. Needs the extra `page`.

``access`` controls access, ``draft`` holds unsaved changes, ``lookups`` queries the tenant, ``widgets`` are fields
bound to a draft, ``connection``, ``objects``, ``categories`` and ``raw`` are the parts of the form, ``status`` is the
banner, ``view`` puts them together, ``server`` serves it.
"""
