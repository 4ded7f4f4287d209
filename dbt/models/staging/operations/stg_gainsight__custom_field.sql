-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
{{ config(enabled=gainsight_pipelines.has_operations()) }}
select
    entity,
    source_object,
    name,
    label,
    data_type,
    first_seen_at,
    last_seen_at
from {{ source('gainsight', 'custom_field') }}
