with weekly as (

    select
        account.account_id,
        account.segment,
        metric.product_name,
        metric.metric,
        metric.dimension,
        {{ gainsight_pipelines.utc_trunc('week', 'metric.observed_at') }} as week,
        count(*) as observations,
        sum(cast(metric.value as double precision)) as total,
        avg(cast(metric.value as double precision)) as average,
        cast(min(metric.value) as double precision) as minimum,
        cast(max(metric.value) as double precision) as maximum
    from {{ ref('stg_gainsight__usage_metric') }} as metric
    inner join {{ ref('int_gainsight__account_segment') }} as account
        on metric.account_id = account.account_id
    where metric.value is not null and metric.observed_at is not null
    group by 1, 2, 3, 4, 5, 6

),

compared as (

    select
        *,
        avg(average) over (
            partition by account_id, product_name, metric, dimension
            order by week rows between 4 preceding and 1 preceding
        ) as average_before,
        row_number() over (
            partition by account_id, product_name, metric, dimension order by week desc
        ) = 1 as is_latest
    from weekly

)

select
    account_id,
    segment,
    product_name,
    metric,
    dimension,
    week,
    observations,
    total,
    average,
    minimum,
    maximum,
    average_before,
    100 * (average - average_before) / nullif(abs(average_before), 0) as change_percent,
    case
        when average_before is null then 'new'
        when average - average_before > {{ var('gainsight_trend_percent') }} * abs(average_before) / 100 then 'rising'
        when average_before - average > {{ var('gainsight_trend_percent') }} * abs(average_before) / 100 then 'falling'
        else 'steady'
    end as trend,
    is_latest
from compared
