select
    account.account_id,
    {{ gainsight_pipelines.utc_trunc('month', 'activity.occurred_at') }} as month,
    account.segment,
    {{ gainsight_pipelines.one_if("activity.source = 'timeline'") }} as timeline_entries,
    {{ gainsight_pipelines.one_if("activity.source = 'timeline' and activity.activity_type = 'MEETING'") }} as meetings,
    {{ gainsight_pipelines.one_if("activity.source = 'timeline' and activity.activity_type = 'EMAIL'") }} as emails,
    {{ gainsight_pipelines.one_if(
        "activity.source = 'timeline' and activity.activity_type not in ('MEETING', 'EMAIL')"
    ) }} as other_entries,
    {{ gainsight_pipelines.one_if("activity.source = 'survey'") }} as survey_responses,
    sum(cast(coalesce(activity.duration_minutes, 0) as double precision)) as minutes,
    count(distinct {{ gainsight_pipelines.utc_date('activity.occurred_at') }}) as days,
    count(distinct case when activity.source = 'timeline' then activity.author end) as authors,
    max(activity.occurred_at) as last_occurred_at
from {{ ref('stg_gainsight__activity') }} as activity
inner join {{ ref('int_gainsight__account_segment') }} as account
    on activity.account_id = account.account_id
where activity.occurred_at is not null
group by 1, 2, 3
