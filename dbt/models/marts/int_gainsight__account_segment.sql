{{ config(materialized='view') }}

-- The segment of an account: what its Gainsight company says, the first by GSID of those that say anything.
with told as (

    select
        account_id,
        {{ gainsight_pipelines.json_text('attributes', var('gainsight_segment_field')) }} as segment,
        gsid
    from {{ ref('stg_gainsight__company') }}
    where account_id is not null

),

ranked as (

    select
        account_id,
        segment,
        row_number() over (partition by account_id order by gsid) as place
    from told
    where segment is not null

)

select
    account.account_id,
    coalesce(ranked.segment, 'unknown') as segment
from {{ ref('stg_gainsight__account') }} as account
left join ranked
    on account.account_id = ranked.account_id and ranked.place = 1
