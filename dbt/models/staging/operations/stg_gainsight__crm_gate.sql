-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
{{ config(enabled=gainsight_pipelines.has_operations()) }}
select
    only_row,
    is_open,
    reason,
    message,
    accounts,
    since,
    checked_at,
    closed_since
from {{ source('gainsight', 'crm_gate') }}
