-- A usage record has a row for each metric; it is one record all the same.
with usage_record as (

    select
        object,
        record_id,
        company_gsid,
        unmatched_reason,
        match_candidates,
        first_seen_at,
        row_number() over (partition by object, record_id order by first_seen_at, metric) as place
    from {{ ref('stg_gainsight__usage_metric') }}
    where unmatched_reason is not null

),

waiting as (

    select
        'company' as object,
        gsid as record_id,
        gsid as company_gsid,
        unmatched_reason as reason,
        match_candidates as candidates,
        first_seen_at
    from {{ ref('stg_gainsight__company') }}
    where unmatched_reason is not null

    union all

    select source_object, activity_id, company_gsid, unmatched_reason, match_candidates, first_seen_at
    from {{ ref('stg_gainsight__activity') }}
    where unmatched_reason is not null

    union all

    select object, record_id, company_gsid, unmatched_reason, match_candidates, first_seen_at
    from usage_record
    where place = 1

    union all

    select object, gsid, company_gsid, unmatched_reason, match_candidates, first_seen_at
    from {{ ref('stg_gainsight__record') }}
    where unmatched_reason is not null

)

select
    waiting.object,
    waiting.record_id,
    waiting.company_gsid,
    company.name as company_name,
    company.crm_id as company_crm_id,
    waiting.reason,
    waiting.candidates,
    waiting.first_seen_at,
    case
        when waiting.company_gsid is null then 1
        else count(*) over (partition by waiting.company_gsid)
    end as records_of_company,
    case
        when waiting.reason = 'no_company'
            then 'Name a company on the record in Gainsight.'
        when waiting.reason = 'ambiguous'
            then 'Leave the GSID on one of the candidates in the CRM.'
        when company.gsid is null
            then 'Gainsight has no such company: name another one on the record, or pull companies.'
        when company.crm_id is null
            then 'Give the company the id of its CRM account in Gainsight, or put its GSID on the account in the CRM.'
        else 'The CRM has no live account with the id of the company: correct it in Gainsight, or put the GSID on the account in the CRM.'
    end as what_to_do
from waiting
left join {{ ref('stg_gainsight__company') }} as company
    on waiting.company_gsid = company.gsid
