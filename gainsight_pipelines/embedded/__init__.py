"""The embedded PostgreSQL server, and the processes that commands start.

`server` is the interface for users of the database, `keeper` supervises the server, `processes` starts and ends the
child processes of commands. Nothing here knows our tables.
"""
