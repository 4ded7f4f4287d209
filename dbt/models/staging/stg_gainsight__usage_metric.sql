-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
select
    object,
    record_id,
    metric,
    company_gsid,
    account_key,
    product_name,
    dimension,
    {{ gainsight_pipelines.exact('value') }} as value,
    secondary,
    observed_at,
    account_id,
    match_method,
    unmatched_reason,
    {{ gainsight_pipelines.json_list('match_candidates') }} as match_candidates,
    modified_at,
    first_seen_at,
    changed_at,
    run_id,
    unreadable
from {{ source('gainsight', 'usage_metric') }}
where deleted_at is null
