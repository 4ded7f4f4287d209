"""The embedded PostgreSQL server, and the processes that commands start.

`server` is the door for users of the database, `keeper` runs beside it and ends it, `processes` starts and ends the
commands' own child processes. Nothing here knows our tables.
"""
