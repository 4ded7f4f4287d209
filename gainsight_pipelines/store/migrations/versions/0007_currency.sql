-- The ISO code of the currency of `arr`, where the CRM has several; null: it has one.
ALTER TABLE account ADD COLUMN currency text;

-- As before, with the currency behind the other columns.
CREATE OR REPLACE VIEW account_360 AS
SELECT a.account_id, a.crm, a.name, a.domain, a.parent_account_id, a.arr, a.renewal_date, a.owner_id, a.owner_name,
       coalesce(c.companies, '[]'::jsonb) AS companies,
       coalesce(jsonb_array_length(c.companies), 0) > 1 AS has_several_companies,
       coalesce(t.activities, 0) AS activities, t.last_activity_at,
       coalesce(t.surveys, 0) AS surveys, t.last_survey_at,
       coalesce(u.usage_metrics, 0) AS usage_metrics, u.last_usage_at,
       coalesce(r.objects, '{}'::jsonb) AS objects,
       a.currency
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
