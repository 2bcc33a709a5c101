-- Stored conversations: their messages, and which of their runs comes when.

CREATE TABLE conversations (
    id            uuid        PRIMARY KEY,
    -- The key that made it.
    key_id        uuid        NOT NULL,
    -- The agent that has it; null before there is one.
    agent_name    text,
    -- The caller's own, an object.
    metadata      json,
    message_count integer     NOT NULL DEFAULT 0,
    -- How many runs have asked for it: what the next one is numbered behind.
    claim_count   bigint      NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX conversations_of_key ON conversations (key_id, id);

CREATE TABLE conversation_messages (
    conversation_id uuid        NOT NULL,
    -- Counted from 1, without gaps.
    position        integer     NOT NULL,
    -- The run that it came with; null if it came with the conversation. All messages of a run are written at once.
    run_id          uuid,
    -- The agent that said it, or that it was said to; null if none was there.
    agent_name      text,
    -- As `json`, which keeps what is written: `jsonb` refuses some texts.
    message         json        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conversation_messages_pkey PRIMARY KEY (conversation_id, position),
    CONSTRAINT conversation_messages_of_conversation FOREIGN KEY (conversation_id)
        REFERENCES conversations (id) ON DELETE CASCADE,
    CONSTRAINT conversation_messages_count_from_one CHECK (position >= 1)
);
CREATE INDEX conversation_messages_of_run ON conversation_messages (run_id) WHERE run_id IS NOT NULL;

-- Runs that want their conversation, in the order in which they came: the one with the lowest number has it. The claims
-- of an instance go with it, by the foreign key: its heartbeat is their lease.
CREATE TABLE conversation_claims (
    run_id          uuid   PRIMARY KEY,
    conversation_id uuid   NOT NULL,
    number          bigint NOT NULL,
    instance_id     uuid   NOT NULL,
    CONSTRAINT conversation_claims_number_unique UNIQUE (conversation_id, number),
    CONSTRAINT conversation_claims_of_conversation FOREIGN KEY (conversation_id)
        REFERENCES conversations (id) ON DELETE CASCADE,
    CONSTRAINT conversation_claims_of_instance FOREIGN KEY (instance_id)
        REFERENCES instances (id) ON DELETE CASCADE
);
CREATE INDEX conversation_claims_of_instance ON conversation_claims (instance_id);

-- Which conversation a record stands for, so that its texts go with it.
ALTER TABLE runs ADD COLUMN conversation_id uuid;
CREATE INDEX runs_of_conversation ON runs (conversation_id) WHERE conversation_id IS NOT NULL;
ALTER TABLE dispatches ADD COLUMN conversation_id uuid;
CREATE INDEX dispatches_of_conversation ON dispatches (conversation_id) WHERE conversation_id IS NOT NULL;
