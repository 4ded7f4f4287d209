-- What the gate sensor and everything that asks before it starts a pull share: whether the primary CRM is there, and
-- since when each object's cadence is watched.

CREATE TABLE crm_gate (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    is_open           boolean NOT NULL,
    reason            text NOT NULL,
    message           text NOT NULL,
    accounts          bigint,
    since             timestamptz NOT NULL,
    checked_at        timestamptz NOT NULL
);

-- Ticks before an object was configured are nobody's debt. is_stopped: a person stopped its schedule.
CREATE TABLE watched_object (
    object            text PRIMARY KEY,
    watched_since     timestamptz NOT NULL,
    is_stopped        boolean NOT NULL DEFAULT false
);
