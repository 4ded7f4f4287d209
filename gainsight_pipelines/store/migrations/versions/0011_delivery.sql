-- The last delivery of each table or view to a warehouse, for people. How far it was delivered is kept in the warehouse.
CREATE TABLE delivery (
    destination       text NOT NULL,
    dataset           text NOT NULL,
    relation          text NOT NULL,
    run_id            text NOT NULL,
    started_at        timestamptz NOT NULL,
    finished_at       timestamptz,
    delivered_at      timestamptz,
    rows_sent         bigint,
    bytes_sent        bigint,
    error             text,
    PRIMARY KEY (destination, dataset, relation)
);
