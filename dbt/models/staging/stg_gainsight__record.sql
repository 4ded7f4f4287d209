-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
{% for name in var('gainsight_object_sources') %}
-- depends_on: {{ source('gainsight', name) }}
{% endfor %}
select
    object,
    gsid,
    company_gsid,
    attributes,
    unreadable,
    account_id,
    match_method,
    unmatched_reason,
    {{ gainsight_pipelines.json_list('match_candidates') }} as match_candidates,
    modified_at,
    first_seen_at,
    changed_at,
    run_id
from {{ source('gainsight', 'record') }}
where deleted_at is null
