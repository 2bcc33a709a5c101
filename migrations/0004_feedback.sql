-- What callers said of decisions: which agent was right.

ALTER TABLE change_counters
    ADD COLUMN feedback_revision bigint NOT NULL DEFAULT 0,
    -- The revision with which some of it was last forgotten: who knows an older one reads all of it anew.
    ADD COLUMN feedback_forgotten bigint NOT NULL DEFAULT 0;

-- Not a record, and not removed with the records by their age: what was said holds until it is forgotten on purpose.
CREATE TABLE feedback (
    -- One decision has one correction. Decisions are written behind their answers, so this one may come later.
    dispatch_id uuid             PRIMARY KEY,
    -- The feedback's revision with which it was said. It is counted in the same transaction, under the lock of the
    -- counters' row: who has read up to one reads what is newer.
    revision    bigint           NOT NULL,
    -- The key that said it, which need not be the decision's own.
    key_id      uuid             NOT NULL,
    -- The right agent, there or gone; null if it belongs to nobody.
    agent_name  text,
    -- What was asked: as much of it as a pick reads.
    input       text             NOT NULL,
    -- Of the decision, as it was answered: its confidence, and the first of its ranked candidates.
    confidence  double precision NOT NULL,
    first_agent text,
    created_at  timestamptz      NOT NULL DEFAULT now(),
    CONSTRAINT feedback_revision_unique UNIQUE (revision)
);
CREATE INDEX feedback_agent_name ON feedback (agent_name, revision);
