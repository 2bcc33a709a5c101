-- What instances need to follow a large roster, and who changed what.

-- The roster's revision with which an agent last changed: who has read the roster up to one reads what is newer.
ALTER TABLE agents ADD COLUMN roster_revision bigint NOT NULL DEFAULT 0;
CREATE INDEX agents_roster_revision ON agents (roster_revision);

-- Every change of the roster is made under one lock and counted before it commits, so this is its number. A trigger
-- sets it for instances of an older version too.
CREATE FUNCTION number_agent_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.roster_revision := (SELECT roster_revision + 1 FROM change_counters);
    RETURN NEW;
END
$$;
CREATE TRIGGER agents_are_numbered BEFORE INSERT OR UPDATE ON agents
    FOR EACH ROW EXECUTE FUNCTION number_agent_change();

-- Instances listen, so that they need not wait for their next poll.
CREATE FUNCTION notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rolecall_changes', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER changes_are_notified AFTER UPDATE ON change_counters
    FOR EACH ROW EXECUTE FUNCTION notify_change();

-- By which version and configuration a file was read; another one may find other things in the same bytes.
ALTER TABLE agent_files ADD COLUMN reading text NOT NULL DEFAULT '';

CREATE TABLE audit_entries (
    id         uuid        PRIMARY KEY,
    -- The name of the key that was used, or of the part of the service that acted by itself.
    author     text        NOT NULL,
    -- Null if no key was used.
    key_id     uuid,
    -- A stable word, such as `agent.put`.
    action     text        NOT NULL,
    -- What was changed: an agent's name, a key's id.
    subject    text        NOT NULL,
    detail     jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_entries_subject ON audit_entries (subject, id);
CREATE INDEX audit_entries_action ON audit_entries (action, id);
