-- Values of a record that can't be read as what their fields hold, as they came, by Gainsight's field; null: all could.
ALTER TABLE company ADD COLUMN unreadable jsonb;
ALTER TABLE activity ADD COLUMN unreadable jsonb;
ALTER TABLE usage_metric ADD COLUMN unreadable jsonb;
CREATE INDEX company_unreadable ON company (gsid) WHERE unreadable IS NOT NULL;
CREATE INDEX activity_unreadable ON activity (source_object) WHERE unreadable IS NOT NULL;
CREATE INDEX usage_metric_unreadable ON usage_metric (object) WHERE unreadable IS NOT NULL;

ALTER TABLE sync_run ADD COLUMN values_unreadable bigint NOT NULL DEFAULT 0;
