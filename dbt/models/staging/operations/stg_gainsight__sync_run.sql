-- Written by `python -m gainsight_pipelines_tests.dbt.generated`: its source is the data contract.
{{ config(enabled=gainsight_pipelines.has_operations()) }}
select
    run_id,
    object,
    status,
    started_at,
    finished_at,
    window_from,
    records_read,
    rows_written,
    rows_unchanged,
    rows_matched,
    rows_unmatched,
    records_rejected,
    rows_relinked,
    is_truncated,
    calls,
    bytes_received,
    details,
    error,
    product_version,
    cursor_before,
    cursor_after,
    values_unreadable
from {{ source('gainsight', 'sync_run') }}
