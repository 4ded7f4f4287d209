select
    {{ gainsight_pipelines.utc_trunc('month', 'response.occurred_at') }} as month,
    account.segment,
    count(*) as responses,
    count(distinct response.account_id) as accounts,
    {{ gainsight_pipelines.one_if("response.nps_group = 'promoter'") }} as promoters,
    {{ gainsight_pipelines.one_if("response.nps_group = 'passive'") }} as passives,
    {{ gainsight_pipelines.one_if("response.nps_group = 'detractor'") }} as detractors,
    {{ gainsight_pipelines.nps(
        gainsight_pipelines.one_if("response.nps_group = 'promoter'"),
        gainsight_pipelines.one_if("response.nps_group = 'detractor'"),
        'count(*)'
    ) }} as nps
from {{ ref('stg_gainsight__activity') }} as response
inner join {{ ref('int_gainsight__account_segment') }} as account
    on response.account_id = account.account_id
where response.survey_type = 'NPS'
    and response.nps_group is not null
    and response.occurred_at is not null
group by 1, 2
