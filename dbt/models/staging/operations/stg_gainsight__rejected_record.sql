-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
{{ config(enabled=gainsight_pipelines.has_operations()) }}
select
    object,
    payload_hash,
    payload,
    reason,
    first_seen_at,
    last_seen_at,
    run_id
from {{ source('gainsight', 'rejected_record') }}
