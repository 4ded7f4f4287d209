"""When a pull is due and whether it may start: cadences, the gate, what was missed, the rows of the status banner.

No Dagster here: `orchestration` turns these answers into schedules and sensors, the command line prints them.
"""
