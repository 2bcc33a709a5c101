-- The registry: agents, their immutable revisions, and the files they come from.
-- The records: decisions and runs. The keys of callers.

-- One row that counts changes: instances compare it to know whether their snapshots are stale.
CREATE TABLE change_counters (
    is_only         boolean PRIMARY KEY DEFAULT true,
    roster_revision bigint  NOT NULL DEFAULT 0,
    keys_revision   bigint  NOT NULL DEFAULT 0,
    CONSTRAINT change_counters_is_only CHECK (is_only)
);
INSERT INTO change_counters DEFAULT VALUES;

CREATE TABLE agents (
    name          text        PRIMARY KEY,
    display_name  text        NOT NULL,
    source        text        NOT NULL,
    state         text        NOT NULL DEFAULT 'live',
    -- Names of the folders between the root and the file.
    folder_labels text[]      NOT NULL DEFAULT '{}',
    live_revision integer     NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT agents_source_known CHECK (source IN ('file', 'api')),
    CONSTRAINT agents_state_known CHECK (state IN ('live', 'disabled', 'archived'))
);

CREATE TABLE revisions (
    agent_name    text        NOT NULL,
    revision      integer     NOT NULL,
    sha256        text        NOT NULL,
    source_bytes  bytea       NOT NULL,
    format        text        NOT NULL,
    parse_mode    text        NOT NULL,
    diagnostics   jsonb       NOT NULL,
    source        text        NOT NULL,
    author        text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT revisions_pkey PRIMARY KEY (agent_name, revision),
    CONSTRAINT revisions_agent_exists FOREIGN KEY (agent_name) REFERENCES agents (name)
        DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT revisions_count_from_one CHECK (revision >= 1)
);

ALTER TABLE agents ADD CONSTRAINT agents_live_revision_exists
    FOREIGN KEY (name, live_revision) REFERENCES revisions (agent_name, revision)
    DEFERRABLE INITIALLY DEFERRED;

CREATE FUNCTION refuse_revision_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'revisions are immutable';
END
$$;
CREATE TRIGGER revisions_are_immutable BEFORE UPDATE OR DELETE ON revisions
    FOR EACH ROW EXECUTE FUNCTION refuse_revision_change();

-- What the last sync saw at each path of the agents folder.
CREATE TABLE agent_files (
    path        text        PRIMARY KEY,
    sha256      text        NOT NULL,
    agent_name  text,
    verdict     text        NOT NULL,
    diagnostics jsonb       NOT NULL,
    seen_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT agent_files_verdict_known
        CHECK (verdict IN ('loaded', 'loaded_with_warnings', 'quarantined', 'skipped'))
);

CREATE TABLE api_keys (
    id          uuid        PRIMARY KEY,
    public_id   text        NOT NULL,
    secret_hash bytea       NOT NULL,
    name        text        NOT NULL,
    scopes      text[]      NOT NULL,
    agents      text[],
    origin      text        NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT api_keys_public_id_unique UNIQUE (public_id),
    CONSTRAINT api_keys_origin_known CHECK (origin IN ('created', 'first_start', 'environment'))
);

-- Running processes. A run whose instance has stopped beating was cut off.
CREATE TABLE instances (
    id           uuid        PRIMARY KEY,
    heartbeat_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE dispatches (
    id              uuid        PRIMARY KEY,
    key_id          uuid        NOT NULL,
    outcome         text        NOT NULL,
    agent_name      text,
    agent_revision  integer,
    roster_revision bigint      NOT NULL,
    -- The whole decision as it was answered.
    decision        jsonb       NOT NULL,
    -- What was asked; null if contents are not stored.
    input           text,
    created_at      timestamptz NOT NULL
);

CREATE TABLE runs (
    id             uuid        PRIMARY KEY,
    key_id         uuid        NOT NULL,
    instance_id    uuid        NOT NULL,
    dispatch_id    uuid        NOT NULL,
    agent_name     text        NOT NULL,
    agent_revision integer     NOT NULL,
    agent_sha256   text        NOT NULL,
    status         text        NOT NULL,
    -- The whole run as it is answered; output and tool arguments are left out if contents are not stored.
    record         jsonb       NOT NULL,
    created_at     timestamptz NOT NULL,
    ended_at       timestamptz
);
CREATE INDEX runs_not_ended ON runs (instance_id) WHERE ended_at IS NULL;
