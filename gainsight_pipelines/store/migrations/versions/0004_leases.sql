-- What several stores in one database, several machines and a pooler in between need: an id of its own for each store,
-- leases in place of locks that live with a session, and what Gainsight last said of its limits.

CREATE TABLE store (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    store_id          uuid NOT NULL DEFAULT gen_random_uuid(),
    made_at           timestamptz NOT NULL DEFAULT now()
);
INSERT INTO store DEFAULT VALUES;

-- One row for each object that is being pulled. Times are the database's.
CREATE TABLE lease (
    name              text PRIMARY KEY,
    run_id            text NOT NULL,
    token             uuid NOT NULL,
    host              text NOT NULL,
    machine           text NOT NULL,
    process           text NOT NULL,
    taken_at          timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL
);

-- Until when nobody calls Gainsight, because it refused a call; is_probe: because one call goes first after that.
CREATE TABLE api_pause (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    until             timestamptz NOT NULL,
    is_probe          boolean NOT NULL DEFAULT false
);
