-- Limits and budgets of keys, and what keys have spent.

-- What the key has instead of what is set for all keys, an object.
ALTER TABLE api_keys ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';

-- What the runs of one instance have cost a key in a day (UTC), as the sum so far: written again it changes nothing.
CREATE TABLE key_spending (
    key_id      uuid        NOT NULL,
    day         date        NOT NULL,
    instance_id uuid        NOT NULL,
    -- Billionths of a US dollar.
    nano_usd    bigint      NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT key_spending_pkey PRIMARY KEY (key_id, day, instance_id),
    CONSTRAINT key_spending_not_negative CHECK (nano_usd >= 0)
);
CREATE INDEX key_spending_of_day ON key_spending (day, updated_at);
