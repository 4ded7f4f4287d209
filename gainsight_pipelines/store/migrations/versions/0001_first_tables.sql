-- The data contract, first version. Names are the product's API: a change is a new migration.
-- Columns ending in _at are UTC timestamps. changed_at and run_id are set only when a row changes.

CREATE TABLE tenant (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    gainsight_host    text NOT NULL,
    crm               text NOT NULL,
    crm_organisation  text NOT NULL,
    first_seen_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE account (
    account_id        text PRIMARY KEY,
    crm               text NOT NULL,
    name              text,
    domain            text,
    parent_account_id text,
    arr               numeric,
    renewal_date      date,
    owner_id          text,
    owner_name        text,
    gsids             jsonb NOT NULL DEFAULT '{}',
    crm_modified_at   timestamptz,
    deleted_at        timestamptz,
    merged_into       text,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL,
    run_id            text NOT NULL
);

-- What is known of each company that any record names: its CRM id, or that Gainsight has no such company.
CREATE TABLE company_link (
    company_gsid      text PRIMARY KEY,
    crm_id            text,
    is_known          boolean NOT NULL,
    checked_at        timestamptz NOT NULL
);

CREATE TABLE company (
    gsid              text PRIMARY KEY,
    crm_id            text,
    name              text,
    attributes        jsonb NOT NULL DEFAULT '{}',
    account_id        text,
    match_method      text,
    unmatched_reason  text,
    match_candidates  text[],
    modified_at       timestamptz,
    deleted_at        timestamptz,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL,
    run_id            text NOT NULL,
    CHECK ((account_id IS NULL) = (unmatched_reason IS NOT NULL))
);
CREATE INDEX company_account ON company (account_id);

CREATE TABLE activity (
    activity_id        text PRIMARY KEY,
    source             text NOT NULL,
    source_object      text NOT NULL,
    company_gsid       text,
    activity_type      text NOT NULL,
    reporting_category text,
    survey_type        text,
    nps_group          text,
    score              numeric,
    subject            text,
    body               text,
    body_text          text,
    occurred_at        timestamptz,
    duration_minutes   numeric,
    author             text,
    author_email       text,
    internal_attendees text[],
    external_attendees text[],
    custom_fields      jsonb,
    account_id         text,
    match_method       text,
    unmatched_reason   text,
    match_candidates   text[],
    modified_at        timestamptz,
    deleted_at         timestamptz,
    first_seen_at      timestamptz NOT NULL DEFAULT now(),
    changed_at         timestamptz NOT NULL,
    run_id             text NOT NULL,
    CHECK ((account_id IS NULL) = (unmatched_reason IS NOT NULL))
);
CREATE INDEX activity_account ON activity (account_id, occurred_at);
CREATE INDEX activity_company ON activity (company_gsid);
CREATE INDEX activity_unmatched ON activity (source_object)
    WHERE account_id IS NULL AND deleted_at IS NULL;

CREATE TABLE usage_metric (
    object            text NOT NULL,
    record_id         text NOT NULL,
    metric            text NOT NULL,
    company_gsid      text,
    account_key       text,
    product_name      text NOT NULL,
    dimension         text,
    value             numeric,
    secondary         jsonb NOT NULL DEFAULT '{}',
    observed_at       timestamptz,
    account_id        text,
    match_method      text,
    unmatched_reason  text,
    match_candidates  text[],
    modified_at       timestamptz,
    deleted_at        timestamptz,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL,
    run_id            text NOT NULL,
    PRIMARY KEY (object, record_id, metric),
    CHECK ((account_id IS NULL) = (unmatched_reason IS NOT NULL))
);
CREATE INDEX usage_metric_account ON usage_metric (account_id, observed_at);
CREATE INDEX usage_metric_company ON usage_metric (company_gsid);
CREATE INDEX usage_metric_unmatched ON usage_metric (object)
    WHERE account_id IS NULL AND deleted_at IS NULL;

CREATE TABLE custom_field (
    entity            text NOT NULL,
    source_object     text NOT NULL,
    name              text NOT NULL,
    label             text,
    data_type         text,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    last_seen_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (entity, source_object, name)
);

-- Records that can't be stored as rows, kept whole with the reason.
CREATE TABLE rejected_record (
    object            text NOT NULL,
    payload_hash      text NOT NULL,
    payload           jsonb NOT NULL,
    reason            text NOT NULL,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    last_seen_at      timestamptz NOT NULL DEFAULT now(),
    run_id            text NOT NULL,
    PRIMARY KEY (object, payload_hash)
);

CREATE TABLE sync_run (
    run_id            text NOT NULL,
    object            text NOT NULL,
    status            text NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'gated', 'skipped')),
    started_at        timestamptz NOT NULL,
    finished_at       timestamptz,
    window_from       timestamptz,
    records_read      bigint NOT NULL DEFAULT 0,
    rows_written      bigint NOT NULL DEFAULT 0,
    rows_unchanged    bigint NOT NULL DEFAULT 0,
    rows_matched      bigint NOT NULL DEFAULT 0,
    rows_unmatched    jsonb NOT NULL DEFAULT '{}',
    records_rejected  bigint NOT NULL DEFAULT 0,
    rows_relinked     bigint NOT NULL DEFAULT 0,
    is_truncated      boolean NOT NULL DEFAULT false,
    calls             jsonb NOT NULL DEFAULT '{}',
    bytes_received    bigint NOT NULL DEFAULT 0,
    details           jsonb NOT NULL DEFAULT '{}',
    error             text,
    product_version   text NOT NULL,
    cursor_before     jsonb,
    cursor_after      jsonb,
    PRIMARY KEY (run_id, object)
);
CREATE INDEX sync_run_object ON sync_run (object, started_at DESC);

-- How far each object has been read. run_id is the run that owns the object at the moment.
CREATE TABLE sync_cursor (
    object            text NOT NULL,
    scope             text NOT NULL,
    modified_at       timestamptz,
    gsid              text,
    window_from       timestamptz,
    read_started_at   timestamptz,
    completed_at      timestamptz,
    is_whole          boolean NOT NULL DEFAULT false,
    fingerprint       text,
    run_id            text NOT NULL,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (object, scope)
);

-- The tenant's description of its objects, kept for a day.
CREATE TABLE object_schema (
    object            text PRIMARY KEY,
    description       jsonb NOT NULL,
    fetched_at        timestamptz NOT NULL,
    unreadable        text[] NOT NULL DEFAULT '{}'
);

-- Calls to Gainsight by window of the wall clock (a minute, a day), from every process on this database.
CREATE TABLE api_quota (
    window_start      timestamptz NOT NULL,
    window_seconds    integer NOT NULL,
    calls             integer NOT NULL,
    PRIMARY KEY (window_start, window_seconds)
);

CREATE VIEW unmatched_record AS
SELECT 'company' AS object, gsid AS record_id, gsid AS company_gsid, unmatched_reason AS reason,
       match_candidates AS candidates, first_seen_at
FROM company WHERE account_id IS NULL AND deleted_at IS NULL
UNION ALL
SELECT source_object, activity_id, company_gsid, unmatched_reason, match_candidates, first_seen_at
FROM activity WHERE account_id IS NULL AND deleted_at IS NULL
UNION ALL
SELECT object, record_id, company_gsid, unmatched_reason, match_candidates, first_seen_at
FROM usage_metric WHERE account_id IS NULL AND deleted_at IS NULL;

CREATE VIEW product_usage AS
SELECT account_id, product_name, dimension, metric,
       (array_agg(value ORDER BY observed_at DESC NULLS LAST, record_id DESC))[1] AS last,
       sum(value) AS sum, avg(value) AS average, min(value) AS min, max(value) AS max,
       count(*) AS rows, max(observed_at) AS observed_at
FROM usage_metric
WHERE account_id IS NOT NULL AND deleted_at IS NULL AND value IS NOT NULL
GROUP BY account_id, product_name, dimension, metric;

CREATE VIEW product_usage_weekly AS
SELECT account_id, product_name, dimension, metric,
       date_trunc('week', observed_at AT TIME ZONE 'UTC')::date AS week,
       (array_agg(value ORDER BY observed_at DESC, record_id DESC))[1] AS last,
       sum(value) AS sum, avg(value) AS average, min(value) AS min, max(value) AS max, count(*) AS rows
FROM usage_metric
WHERE account_id IS NOT NULL AND deleted_at IS NULL AND value IS NOT NULL AND observed_at IS NOT NULL
GROUP BY account_id, product_name, dimension, metric, week;

CREATE VIEW account_360 AS
SELECT a.account_id, a.crm, a.name, a.domain, a.parent_account_id, a.arr, a.renewal_date, a.owner_id, a.owner_name,
       coalesce(c.companies, '[]'::jsonb) AS companies,
       coalesce(jsonb_array_length(c.companies), 0) > 1 AS has_several_companies,
       coalesce(t.activities, 0) AS activities, t.last_activity_at,
       coalesce(t.surveys, 0) AS surveys, t.last_survey_at,
       coalesce(u.usage_metrics, 0) AS usage_metrics, u.last_usage_at
FROM account a
LEFT JOIN (
    SELECT account_id,
           jsonb_agg(jsonb_build_object('gsid', gsid, 'name', name, 'attributes', attributes) ORDER BY gsid) AS companies
    FROM company WHERE account_id IS NOT NULL AND deleted_at IS NULL GROUP BY account_id
) c USING (account_id)
LEFT JOIN (
    SELECT account_id,
           count(*) FILTER (WHERE source = 'timeline') AS activities,
           max(occurred_at) FILTER (WHERE source = 'timeline') AS last_activity_at,
           count(*) FILTER (WHERE source = 'survey') AS surveys,
           max(occurred_at) FILTER (WHERE source = 'survey') AS last_survey_at
    FROM activity WHERE account_id IS NOT NULL AND deleted_at IS NULL GROUP BY account_id
) t USING (account_id)
LEFT JOIN (
    SELECT account_id, count(*) AS usage_metrics, max(observed_at) AS last_usage_at
    FROM usage_metric WHERE account_id IS NOT NULL AND deleted_at IS NULL GROUP BY account_id
) u USING (account_id)
WHERE a.deleted_at IS NULL AND a.merged_into IS NULL;
