{%- set as_of = gainsight_pipelines.as_of() -%}
{%- set silent, nps_days, usage_days = var('gainsight_silent_days'), var('gainsight_nps_days'), var('gainsight_usage_days') -%}

with account as (

    select
        stored.*,
        segment.segment,
        {{ as_of }} as as_of
    from {{ ref('stg_gainsight__account') }} as stored
    inner join {{ ref('int_gainsight__account_segment') }} as segment
        on stored.account_id = segment.account_id

),

company as (

    select account_id, count(*) as companies
    from {{ ref('stg_gainsight__company') }}
    where account_id is not null
    group by 1

),

-- Entries for days to come, such as planned meetings, are no sign of life yet.
activity as (

    select
        *,
        {{ gainsight_pipelines.utc_date('occurred_at') }} as day,
        {{ dbt.datediff(gainsight_pipelines.utc_date('occurred_at'), as_of, 'day') }} as age
    from {{ ref('stg_gainsight__activity') }}
    where account_id is not null
        and {{ gainsight_pipelines.utc_date('occurred_at') }} <= {{ as_of }}

),

timeline as (

    select
        account_id,
        count(*) as activities,
        {{ gainsight_pipelines.one_if('age < 30') }} as activities_30_days,
        {{ gainsight_pipelines.one_if('age < 90') }} as activities_90_days,
        {{ gainsight_pipelines.one_if("age < 90 and activity_type = 'MEETING'") }} as meetings_90_days,
        max(occurred_at) as last_activity_at,
        min(age) as days_since_activity
    from activity
    where source = 'timeline'
    group by 1

),

survey as (

    select
        account_id,
        count(*) as survey_responses,
        max(occurred_at) as last_survey_at
    from activity
    where source = 'survey'
    group by 1

),

nps_response as (

    select
        *,
        row_number() over (partition by account_id order by occurred_at desc, activity_id desc) as place
    from activity
    where survey_type = 'NPS' and nps_group is not null and age < {{ nps_days }}

),

nps as (

    select
        account_id,
        count(*) as nps_responses,
        {{ gainsight_pipelines.nps(
            gainsight_pipelines.one_if("nps_group = 'promoter'"),
            gainsight_pipelines.one_if("nps_group = 'detractor'"),
            'count(*)'
        ) }} as nps,
        max(case when place = 1 then score end) as last_nps_score,
        max(case when place = 1 then nps_group end) as last_nps_group
    from nps_response
    group by 1

),

usage_seen as (

    select account_id, max(observed_at) as last_usage_at
    from {{ ref('stg_gainsight__usage_metric') }}
    where account_id is not null
    group by 1

),

usage_trend as (

    select
        account_id,
        {{ gainsight_pipelines.one_if("trend = 'rising'") }} as metrics_rising,
        {{ gainsight_pipelines.one_if("trend = 'falling'") }} as metrics_falling
    from {{ ref('gainsight__usage_trend') }}
    where is_latest
        and {{ dbt.datediff('week', as_of, 'day') }} between 0 and {{ usage_days - 1 }}
    group by 1

),

joined as (

    select
        account.account_id,
        account.crm,
        account.name,
        account.domain,
        account.parent_account_id,
        account.owner_id,
        account.owner_name,
        account.segment,
        account.arr,
        account.currency,
        account.renewal_date,
        cast({{ dbt.datediff('account.as_of', 'account.renewal_date', 'day') }} as bigint) as days_to_renewal,
        coalesce(company.companies, 0) as companies,
        coalesce(timeline.activities, 0) as activities,
        coalesce(timeline.activities_30_days, 0) as activities_30_days,
        coalesce(timeline.activities_90_days, 0) as activities_90_days,
        coalesce(timeline.meetings_90_days, 0) as meetings_90_days,
        timeline.last_activity_at,
        cast(timeline.days_since_activity as bigint) as days_since_activity,
        coalesce(survey.survey_responses, 0) as survey_responses,
        survey.last_survey_at,
        coalesce(nps.nps_responses, 0) as nps_responses,
        nps.nps,
        nps.last_nps_score,
        nps.last_nps_group,
        usage_seen.last_usage_at,
        coalesce(usage_trend.metrics_rising, 0) as metrics_rising,
        coalesce(usage_trend.metrics_falling, 0) as metrics_falling,
        account.as_of
    from account
    left join company on account.account_id = company.account_id
    left join timeline on account.account_id = timeline.account_id
    left join survey on account.account_id = survey.account_id
    left join nps on account.account_id = nps.account_id
    left join usage_seen on account.account_id = usage_seen.account_id
    left join usage_trend on account.account_id = usage_trend.account_id

),

judged as (

    select
        *,
        coalesce(days_since_activity >= {{ silent }}, true) as is_silent,
        coalesce(last_nps_group = 'detractor', false) as is_detractor,
        metrics_falling > metrics_rising as is_usage_falling,
        companies = 0 as is_unknown_to_gainsight
    from joined

)

select
    account_id,
    crm,
    name,
    domain,
    parent_account_id,
    owner_id,
    owner_name,
    segment,
    arr,
    currency,
    renewal_date,
    days_to_renewal,
    companies,
    activities,
    activities_30_days,
    activities_90_days,
    meetings_90_days,
    last_activity_at,
    days_since_activity,
    survey_responses,
    last_survey_at,
    nps_responses,
    nps,
    last_nps_score,
    last_nps_group,
    last_usage_at,
    metrics_rising,
    metrics_falling,
    is_silent,
    is_detractor,
    is_usage_falling,
    case
        when is_unknown_to_gainsight then 'unknown'
        when (case when is_silent then 1 else 0 end)
            + (case when is_detractor then 1 else 0 end)
            + (case when is_usage_falling then 1 else 0 end) >= 2 then 'red'
        when is_silent or is_detractor or is_usage_falling then 'yellow'
        else 'green'
    end as health,
    as_of
from judged
