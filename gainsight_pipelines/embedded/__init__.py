"""The embedded PostgreSQL server, and the processes that commands start.

`server` opens and shares the database server, `keeper` is the process that supervises it, and `processes` starts and
ends the child processes of commands. Nothing here knows our tables.
"""
