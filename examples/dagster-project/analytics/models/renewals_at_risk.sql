select
    account_id,
    name,
    owner_name,
    arr,
    days_to_renewal,
    health,
    is_silent,
    is_detractor
from {{ ref('gainsight__account_health') }}
where days_to_renewal between 0 and 90
    and health <> 'green'
