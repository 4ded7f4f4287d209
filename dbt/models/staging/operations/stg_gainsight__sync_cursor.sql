-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
{{ config(enabled=gainsight_pipelines.has_operations()) }}
select
    object,
    scope,
    modified_at,
    gsid,
    window_from,
    read_started_at,
    completed_at,
    is_whole,
    fingerprint,
    run_id,
    updated_at
from {{ source('gainsight', 'sync_cursor') }}
