-- Records of any further object: one table for all, each record whole. Records of reference data (users, picklists)
-- belong to no company: they have neither an account nor a reason why not.
CREATE TABLE record (
    object            text NOT NULL,
    gsid              text NOT NULL,
    company_gsid      text,
    attributes        jsonb NOT NULL DEFAULT '{}',
    unreadable        jsonb,
    account_id        text,
    match_method      text,
    unmatched_reason  text,
    match_candidates  text[],
    modified_at       timestamptz,
    deleted_at        timestamptz,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL,
    run_id            text NOT NULL,
    PRIMARY KEY (object, gsid),
    CHECK (account_id IS NULL OR unmatched_reason IS NULL)
);
CREATE INDEX record_changed ON record (object, changed_at);
CREATE INDEX record_account ON record (account_id, object);
CREATE INDEX record_company ON record (company_gsid);
CREATE INDEX record_unmatched ON record (object) WHERE unmatched_reason IS NOT NULL AND deleted_at IS NULL;

CREATE OR REPLACE VIEW unmatched_record AS
SELECT 'company' AS object, gsid AS record_id, gsid AS company_gsid, unmatched_reason AS reason,
       match_candidates AS candidates, first_seen_at
FROM company WHERE account_id IS NULL AND deleted_at IS NULL
UNION ALL
SELECT source_object, activity_id, company_gsid, unmatched_reason, match_candidates, first_seen_at
FROM activity WHERE account_id IS NULL AND deleted_at IS NULL
UNION ALL
SELECT object, record_id, company_gsid, unmatched_reason, match_candidates, first_seen_at
FROM usage_metric WHERE account_id IS NULL AND deleted_at IS NULL
UNION ALL
SELECT object, gsid, company_gsid, unmatched_reason, match_candidates, first_seen_at
FROM record WHERE unmatched_reason IS NOT NULL AND deleted_at IS NULL;

CREATE OR REPLACE VIEW account_360 AS
SELECT a.account_id, a.crm, a.name, a.domain, a.parent_account_id, a.arr, a.renewal_date, a.owner_id, a.owner_name,
       coalesce(c.companies, '[]'::jsonb) AS companies,
       coalesce(jsonb_array_length(c.companies), 0) > 1 AS has_several_companies,
       coalesce(t.activities, 0) AS activities, t.last_activity_at,
       coalesce(t.surveys, 0) AS surveys, t.last_survey_at,
       coalesce(u.usage_metrics, 0) AS usage_metrics, u.last_usage_at,
       coalesce(r.objects, '{}'::jsonb) AS objects
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
LEFT JOIN (
    SELECT account_id,
           jsonb_object_agg(object, jsonb_build_object('records', records, 'last_modified_at', last_modified_at)) AS objects
    FROM (SELECT account_id, object, count(*) AS records, max(modified_at) AS last_modified_at
          FROM record WHERE account_id IS NOT NULL AND deleted_at IS NULL GROUP BY account_id, object) each_object
    GROUP BY account_id
) r USING (account_id)
WHERE a.deleted_at IS NULL AND a.merged_into IS NULL;

-- Typed views over records, company attributes and survey fields: what each view and its columns are called.
CREATE TABLE object_view (
    view              text PRIMARY KEY,
    name              text NOT NULL UNIQUE,
    definition        jsonb NOT NULL
);
CREATE TABLE object_column (
    view              text NOT NULL REFERENCES object_view,
    position          integer NOT NULL,
    name              text NOT NULL,
    key               text NOT NULL,
    kind              text NOT NULL,
    label             text NOT NULL,
    is_gone           boolean NOT NULL,
    PRIMARY KEY (view, name)
);
