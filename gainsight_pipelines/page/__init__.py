"""The settings page: the settings file, the tenant's pickers and the status banner in a browser.

It reads and writes the file by ``settings.editing``, asks the tenant by ``discovery``, starts runs by Dagster's
webserver; nothing of it is its own knowledge. Needs the extra `page`.

``access`` decides who gets in, ``draft`` is what somebody is editing, ``lookups`` asks the tenant, ``widgets`` are
fields bound to a draft, ``connection``, ``objects``, ``categories`` and ``raw`` are the parts of the form, ``status``
is the banner, ``view`` puts them together, ``server`` serves it.
"""
