-- Sums over the rows of sync_run that `purge` deleted. counter: runs, records_read, …, calls_<kind>.
CREATE TABLE run_total (
    object            text NOT NULL,
    status            text NOT NULL,
    counter           text NOT NULL,
    value             bigint NOT NULL,
    PRIMARY KEY (object, status, counter)
);
