-- Readers of changes ask for the last minutes of tables with millions of rows.
CREATE INDEX activity_changed ON activity (changed_at);
CREATE INDEX usage_metric_changed ON usage_metric (changed_at);

-- With the reason beside it, metrics count what has no account without a look at the rows.
DROP INDEX activity_unmatched, usage_metric_unmatched, record_unmatched;
CREATE INDEX activity_unmatched ON activity (source_object, unmatched_reason)
    WHERE account_id IS NULL AND deleted_at IS NULL;
CREATE INDEX usage_metric_unmatched ON usage_metric (object, unmatched_reason)
    WHERE account_id IS NULL AND deleted_at IS NULL;
CREATE INDEX record_unmatched ON record (object, unmatched_reason)
    WHERE unmatched_reason IS NOT NULL AND deleted_at IS NULL;

-- Earlier versions took a CRM id that a record left out for an empty one. Which of the empty ones are such can't be
-- told: the next pull reads the ids of all companies again, one call for 5,000 of them.
UPDATE sync_cursor SET gsid = 'doubtful'
WHERE object = 'company_link' AND scope = 'links'
  AND EXISTS (SELECT FROM company_link WHERE is_known AND crm_id IS NULL);
