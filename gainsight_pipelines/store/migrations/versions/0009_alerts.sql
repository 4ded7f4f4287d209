-- Since when the gate is closed, whatever the reasons were: crm_gate.since begins anew with each of them.
ALTER TABLE crm_gate ADD COLUMN closed_since timestamptz;
UPDATE crm_gate SET closed_since = since WHERE NOT is_open;

-- What is wrong and has been told. object is empty for what concerns all of them.
CREATE TABLE alert (
    rule              text NOT NULL,
    object            text NOT NULL,
    since             timestamptz NOT NULL,
    told_at           timestamptz NOT NULL,
    PRIMARY KEY (rule, object)
);

-- Messages that still have to be delivered, a row for each target. target is its place in the variable, never its URL.
CREATE TABLE alert_message (
    message_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule              text NOT NULL,
    object            text NOT NULL,
    is_recovery       boolean NOT NULL,
    target            integer NOT NULL,
    title             text NOT NULL,
    body              text NOT NULL,
    made_at           timestamptz NOT NULL,
    due_at            timestamptz NOT NULL,
    attempts          integer NOT NULL DEFAULT 0,
    problem           text
);

-- How many messages were delivered, and how many were given up.
CREATE TABLE alert_total (
    outcome           text PRIMARY KEY,
    value             bigint NOT NULL
);
