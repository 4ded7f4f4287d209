-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
{% for name in var('gainsight_survey_sources') %}
-- depends_on: {{ source('gainsight', name) }}
{% endfor %}
select
    activity_id,
    source,
    source_object,
    company_gsid,
    activity_type,
    reporting_category,
    survey_type,
    nps_group,
    {{ gainsight_pipelines.exact('score') }} as score,
    subject,
    body,
    body_text,
    occurred_at,
    {{ gainsight_pipelines.exact('duration_minutes') }} as duration_minutes,
    author,
    author_email,
    {{ gainsight_pipelines.json_list('internal_attendees') }} as internal_attendees,
    {{ gainsight_pipelines.json_list('external_attendees') }} as external_attendees,
    custom_fields,
    account_id,
    match_method,
    unmatched_reason,
    {{ gainsight_pipelines.json_list('match_candidates') }} as match_candidates,
    modified_at,
    first_seen_at,
    changed_at,
    run_id,
    unreadable
from {{ source('gainsight', 'activity') }}
where deleted_at is null
