-- Tool servers that came by the admin API. They are reached by URL: commands stand in the configuration file alone.

ALTER TABLE change_counters
    ADD COLUMN tool_servers_revision bigint NOT NULL DEFAULT 0;

CREATE TABLE tool_servers (
    name       text        PRIMARY KEY,
    url        text        NOT NULL,
    -- Whether agents that name no tools have it.
    is_default boolean     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- Definitions name servers without regard to case.
CREATE UNIQUE INDEX tool_servers_name_unique ON tool_servers (lower(name));
