-- The version of each object's data: another one whenever a row changes. Moved in the transaction that changes it.
CREATE TABLE data_version (
    object            text PRIMARY KEY,
    version           bigint NOT NULL
);
