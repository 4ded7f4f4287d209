CREATE SCHEMA gainsight;
CREATE TABLE gainsight.account (
    account_id text NOT NULL,
    crm text NOT NULL,
    name text,
    domain text,
    parent_account_id text,
    arr numeric,
    renewal_date date,
    owner_id text,
    owner_name text,
    gsids jsonb DEFAULT '{}'::jsonb NOT NULL,
    crm_modified_at timestamp with time zone,
    deleted_at timestamp with time zone,
    merged_into text,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    run_id text NOT NULL
);
CREATE TABLE gainsight.activity (
    activity_id text NOT NULL,
    source text NOT NULL,
    source_object text NOT NULL,
    company_gsid text,
    activity_type text NOT NULL,
    reporting_category text,
    survey_type text,
    nps_group text,
    score numeric,
    subject text,
    body text,
    body_text text,
    occurred_at timestamp with time zone,
    duration_minutes numeric,
    author text,
    author_email text,
    internal_attendees text[],
    external_attendees text[],
    custom_fields jsonb,
    account_id text,
    match_method text,
    unmatched_reason text,
    match_candidates text[],
    modified_at timestamp with time zone,
    deleted_at timestamp with time zone,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    CONSTRAINT activity_check CHECK (((account_id IS NULL) = (unmatched_reason IS NOT NULL)))
);
CREATE TABLE gainsight.company (
    gsid text NOT NULL,
    crm_id text,
    name text,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    account_id text,
    match_method text,
    unmatched_reason text,
    match_candidates text[],
    modified_at timestamp with time zone,
    deleted_at timestamp with time zone,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    CONSTRAINT company_check CHECK (((account_id IS NULL) = (unmatched_reason IS NOT NULL)))
);
CREATE TABLE gainsight.usage_metric (
    object text NOT NULL,
    record_id text NOT NULL,
    metric text NOT NULL,
    company_gsid text,
    account_key text,
    product_name text NOT NULL,
    dimension text,
    value numeric,
    secondary jsonb DEFAULT '{}'::jsonb NOT NULL,
    observed_at timestamp with time zone,
    account_id text,
    match_method text,
    unmatched_reason text,
    match_candidates text[],
    modified_at timestamp with time zone,
    deleted_at timestamp with time zone,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    run_id text NOT NULL,
    CONSTRAINT usage_metric_check CHECK (((account_id IS NULL) = (unmatched_reason IS NOT NULL)))
);
CREATE VIEW gainsight.account_360 AS
 SELECT a.account_id,
    a.crm,
    a.name,
    a.domain,
    a.parent_account_id,
    a.arr,
    a.renewal_date,
    a.owner_id,
    a.owner_name,
    COALESCE(c.companies, '[]'::jsonb) AS companies,
    (COALESCE(jsonb_array_length(c.companies), 0) > 1) AS has_several_companies,
    COALESCE(t.activities, (0)::bigint) AS activities,
    t.last_activity_at,
    COALESCE(t.surveys, (0)::bigint) AS surveys,
    t.last_survey_at,
    COALESCE(u.usage_metrics, (0)::bigint) AS usage_metrics,
    u.last_usage_at
   FROM (((gainsight.account a
     LEFT JOIN ( SELECT company.account_id,
            jsonb_agg(jsonb_build_object('gsid', company.gsid, 'name', company.name, 'attributes', company.attributes) ORDER BY company.gsid) AS companies
           FROM gainsight.company
          WHERE ((company.account_id IS NOT NULL) AND (company.deleted_at IS NULL))
          GROUP BY company.account_id) c USING (account_id))
     LEFT JOIN ( SELECT activity.account_id,
            count(*) FILTER (WHERE (activity.source = 'timeline'::text)) AS activities,
            max(activity.occurred_at) FILTER (WHERE (activity.source = 'timeline'::text)) AS last_activity_at,
            count(*) FILTER (WHERE (activity.source = 'survey'::text)) AS surveys,
            max(activity.occurred_at) FILTER (WHERE (activity.source = 'survey'::text)) AS last_survey_at
           FROM gainsight.activity
          WHERE ((activity.account_id IS NOT NULL) AND (activity.deleted_at IS NULL))
          GROUP BY activity.account_id) t USING (account_id))
     LEFT JOIN ( SELECT usage_metric.account_id,
            count(*) AS usage_metrics,
            max(usage_metric.observed_at) AS last_usage_at
           FROM gainsight.usage_metric
          WHERE ((usage_metric.account_id IS NOT NULL) AND (usage_metric.deleted_at IS NULL))
          GROUP BY usage_metric.account_id) u USING (account_id))
  WHERE ((a.deleted_at IS NULL) AND (a.merged_into IS NULL));
CREATE TABLE gainsight.api_quota (
    window_start timestamp with time zone NOT NULL,
    window_seconds integer NOT NULL,
    calls integer NOT NULL
);
CREATE TABLE gainsight.company_link (
    company_gsid text NOT NULL,
    crm_id text,
    is_known boolean NOT NULL,
    checked_at timestamp with time zone NOT NULL
);
CREATE TABLE gainsight.custom_field (
    entity text NOT NULL,
    source_object text NOT NULL,
    name text NOT NULL,
    label text,
    data_type text,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE gainsight.object_schema (
    object text NOT NULL,
    description jsonb NOT NULL,
    fetched_at timestamp with time zone NOT NULL,
    unreadable text[] DEFAULT '{}'::text[] NOT NULL
);
CREATE VIEW gainsight.product_usage AS
 SELECT account_id,
    product_name,
    dimension,
    metric,
    (array_agg(value ORDER BY usage_metric.observed_at DESC NULLS LAST, record_id DESC))[1] AS last,
    sum(value) AS sum,
    avg(value) AS average,
    min(value) AS min,
    max(value) AS max,
    count(*) AS rows,
    max(observed_at) AS observed_at
   FROM gainsight.usage_metric
  WHERE ((account_id IS NOT NULL) AND (deleted_at IS NULL) AND (value IS NOT NULL))
  GROUP BY account_id, product_name, dimension, metric;
CREATE VIEW gainsight.product_usage_weekly AS
 SELECT account_id,
    product_name,
    dimension,
    metric,
    (date_trunc('week'::text, (observed_at AT TIME ZONE 'UTC'::text)))::date AS week,
    (array_agg(value ORDER BY observed_at DESC, record_id DESC))[1] AS last,
    sum(value) AS sum,
    avg(value) AS average,
    min(value) AS min,
    max(value) AS max,
    count(*) AS rows
   FROM gainsight.usage_metric
  WHERE ((account_id IS NOT NULL) AND (deleted_at IS NULL) AND (value IS NOT NULL) AND (observed_at IS NOT NULL))
  GROUP BY account_id, product_name, dimension, metric, ((date_trunc('week'::text, (observed_at AT TIME ZONE 'UTC'::text)))::date);
CREATE TABLE gainsight.rejected_record (
    object text NOT NULL,
    payload_hash text NOT NULL,
    payload jsonb NOT NULL,
    reason text NOT NULL,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    run_id text NOT NULL
);
CREATE TABLE gainsight.schema_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE gainsight.sync_cursor (
    object text NOT NULL,
    scope text NOT NULL,
    modified_at timestamp with time zone,
    gsid text,
    window_from timestamp with time zone,
    read_started_at timestamp with time zone,
    completed_at timestamp with time zone,
    is_whole boolean DEFAULT false NOT NULL,
    fingerprint text,
    run_id text NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE gainsight.sync_run (
    run_id text NOT NULL,
    object text NOT NULL,
    status text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    window_from timestamp with time zone,
    records_read bigint DEFAULT 0 NOT NULL,
    rows_written bigint DEFAULT 0 NOT NULL,
    rows_unchanged bigint DEFAULT 0 NOT NULL,
    rows_matched bigint DEFAULT 0 NOT NULL,
    rows_unmatched jsonb DEFAULT '{}'::jsonb NOT NULL,
    records_rejected bigint DEFAULT 0 NOT NULL,
    rows_relinked bigint DEFAULT 0 NOT NULL,
    is_truncated boolean DEFAULT false NOT NULL,
    calls jsonb DEFAULT '{}'::jsonb NOT NULL,
    bytes_received bigint DEFAULT 0 NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    error text,
    product_version text NOT NULL,
    cursor_before jsonb,
    cursor_after jsonb,
    CONSTRAINT sync_run_status_check CHECK ((status = ANY (ARRAY['running'::text, 'completed'::text, 'failed'::text, 'gated'::text, 'skipped'::text])))
);
CREATE TABLE gainsight.tenant (
    only_row boolean DEFAULT true NOT NULL,
    gainsight_host text NOT NULL,
    crm text NOT NULL,
    crm_organisation text NOT NULL,
    first_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_only_row_check CHECK (only_row)
);
CREATE VIEW gainsight.unmatched_record AS
 SELECT 'company'::text AS object,
    company.gsid AS record_id,
    company.gsid AS company_gsid,
    company.unmatched_reason AS reason,
    company.match_candidates AS candidates,
    company.first_seen_at
   FROM gainsight.company
  WHERE ((company.account_id IS NULL) AND (company.deleted_at IS NULL))
UNION ALL
 SELECT activity.source_object AS object,
    activity.activity_id AS record_id,
    activity.company_gsid,
    activity.unmatched_reason AS reason,
    activity.match_candidates AS candidates,
    activity.first_seen_at
   FROM gainsight.activity
  WHERE ((activity.account_id IS NULL) AND (activity.deleted_at IS NULL))
UNION ALL
 SELECT usage_metric.object,
    usage_metric.record_id,
    usage_metric.company_gsid,
    usage_metric.unmatched_reason AS reason,
    usage_metric.match_candidates AS candidates,
    usage_metric.first_seen_at
   FROM gainsight.usage_metric
  WHERE ((usage_metric.account_id IS NULL) AND (usage_metric.deleted_at IS NULL));
ALTER TABLE ONLY gainsight.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (account_id);
ALTER TABLE ONLY gainsight.activity
    ADD CONSTRAINT activity_pkey PRIMARY KEY (activity_id);
ALTER TABLE ONLY gainsight.api_quota
    ADD CONSTRAINT api_quota_pkey PRIMARY KEY (window_start, window_seconds);
ALTER TABLE ONLY gainsight.company_link
    ADD CONSTRAINT company_link_pkey PRIMARY KEY (company_gsid);
ALTER TABLE ONLY gainsight.company
    ADD CONSTRAINT company_pkey PRIMARY KEY (gsid);
ALTER TABLE ONLY gainsight.custom_field
    ADD CONSTRAINT custom_field_pkey PRIMARY KEY (entity, source_object, name);
ALTER TABLE ONLY gainsight.object_schema
    ADD CONSTRAINT object_schema_pkey PRIMARY KEY (object);
ALTER TABLE ONLY gainsight.rejected_record
    ADD CONSTRAINT rejected_record_pkey PRIMARY KEY (object, payload_hash);
ALTER TABLE ONLY gainsight.schema_version
    ADD CONSTRAINT schema_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY gainsight.sync_cursor
    ADD CONSTRAINT sync_cursor_pkey PRIMARY KEY (object, scope);
ALTER TABLE ONLY gainsight.sync_run
    ADD CONSTRAINT sync_run_pkey PRIMARY KEY (run_id, object);
ALTER TABLE ONLY gainsight.tenant
    ADD CONSTRAINT tenant_pkey PRIMARY KEY (only_row);
ALTER TABLE ONLY gainsight.usage_metric
    ADD CONSTRAINT usage_metric_pkey PRIMARY KEY (object, record_id, metric);
CREATE INDEX activity_account ON gainsight.activity USING btree (account_id, occurred_at);
CREATE INDEX activity_company ON gainsight.activity USING btree (company_gsid);
CREATE INDEX activity_unmatched ON gainsight.activity USING btree (source_object) WHERE ((account_id IS NULL) AND (deleted_at IS NULL));
CREATE INDEX company_account ON gainsight.company USING btree (account_id);
CREATE INDEX sync_run_object ON gainsight.sync_run USING btree (object, started_at DESC);
CREATE INDEX usage_metric_account ON gainsight.usage_metric USING btree (account_id, observed_at);
CREATE INDEX usage_metric_company ON gainsight.usage_metric USING btree (company_gsid);
CREATE INDEX usage_metric_unmatched ON gainsight.usage_metric USING btree (object) WHERE ((account_id IS NULL) AND (deleted_at IS NULL));
