"""When a pull is due and whether it may start: cadences, the gate, missed ticks, the rows of the status banner.

No Dagster here: `orchestration` turns this into schedules and sensors; the command line prints it.
"""
