"""What defs.yaml beside it can name."""

import dagster as dg

from gainsight_pipelines import on_changed_data


@dg.template_var
def when_data_change() -> dg.AutomationCondition:
    """A model runs when what it is made of has changed, not whenever a pull has run."""
    return on_changed_data()
