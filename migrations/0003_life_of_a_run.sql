-- What a run needs to be followed, cancelled and repeated from any instance.

ALTER TABLE runs
    -- The caller's own name for the request; cleared when the run has ended in a way that invites another try.
    ADD COLUMN idempotency_key     text,
    -- What was asked, to tell the same request from another one under the same key.
    ADD COLUMN request_sha256      bytea,
    -- Set by an instance that does not run it; the one that does ends it.
    ADD COLUMN cancel_requested_at timestamptz,
    -- How many events it had, the last one included; set when it ends.
    ADD COLUMN event_count         integer;
CREATE UNIQUE INDEX runs_idempotency_key ON runs (key_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_of_key ON runs (key_id, id);

-- A run's events but for the last one, which the run itself is: in pieces, each a JSON array. A text is a text delta;
-- every other event is an array of its name and its data. Rows of `runs` that are older than this table hold output
-- and tool calls themselves.
CREATE TABLE run_events (
    run_id         uuid    NOT NULL,
    -- The sequence number of the piece's first event, counted from 1.
    first_sequence integer NOT NULL,
    events         json    NOT NULL,
    CONSTRAINT run_events_pkey PRIMARY KEY (run_id, first_sequence),
    CONSTRAINT run_events_count_from_one CHECK (first_sequence >= 1)
);
