-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
select
    gsid,
    crm_id,
    name,
    attributes,
    account_id,
    match_method,
    unmatched_reason,
    {{ gainsight_pipelines.json_list('match_candidates') }} as match_candidates,
    modified_at,
    first_seen_at,
    changed_at,
    run_id,
    unreadable
from {{ source('gainsight', 'company') }}
where deleted_at is null
