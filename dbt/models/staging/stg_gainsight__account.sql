-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
select
    account_id,
    crm,
    name,
    domain,
    parent_account_id,
    {{ gainsight_pipelines.exact('arr') }} as arr,
    renewal_date,
    owner_id,
    owner_name,
    gsids,
    crm_modified_at,
    first_seen_at,
    changed_at,
    run_id,
    currency
from {{ source('gainsight', 'account') }}
where deleted_at is null
    and merged_into is null
