-- What runs have used, in sums that are quick to read, and finding what is old.

-- What a run has used of each model and what that cost when it ended; the first is the model that it is told to have
-- used. Null while it is under way, if it was cut off, and of runs that are older than this column.
ALTER TABLE runs ADD COLUMN charges jsonb;

-- Each ended run is counted once: by whoever writes its end, in the same transaction. No record is needed to read a
-- sum, and none that is removed by its age changes one.
CREATE TABLE usage_by_day (
    -- By UTC, the one on which the run has ended.
    day                      date    NOT NULL,
    agent_name               text    NOT NULL,
    agent_revision           integer NOT NULL,
    key_id                   uuid    NOT NULL,
    model                    text    NOT NULL,
    status                   text    NOT NULL,
    -- A run counts with the model that it is told to have used, its tokens with the models that counted them.
    runs                     bigint  NOT NULL,
    -- How many parts of the sum have no known price.
    unpriced                 bigint  NOT NULL,
    input_tokens             bigint  NOT NULL,
    output_tokens            bigint  NOT NULL,
    cached_input_tokens      bigint  NOT NULL,
    cache_write_input_tokens bigint  NOT NULL,
    -- Of the others.
    cost_usd                 numeric NOT NULL,
    CONSTRAINT usage_by_day_pkey PRIMARY KEY (day, agent_name, agent_revision, key_id, model, status)
);

-- Ended runs as they are counted. Of a run without charges there is what its record says, and no price. Callers may name
-- models as they like, and an index takes no name of any length.
CREATE VIEW run_charges AS
SELECT runs.id AS run_id, (ended_at AT TIME ZONE 'UTC')::date AS day, agent_name, agent_revision, key_id,
    left(charge.model, 200) AS model,
    status, (place = 1)::integer AS runs, (charge.cost_usd IS NULL)::integer AS unpriced,
    coalesce(charge.input_tokens, 0) AS input_tokens, coalesce(charge.output_tokens, 0) AS output_tokens,
    coalesce(charge.cached_input_tokens, 0) AS cached_input_tokens,
    coalesce(charge.cache_write_input_tokens, 0) AS cache_write_input_tokens, coalesce(charge.cost_usd, 0) AS cost_usd
FROM runs, ROWS FROM (
    jsonb_to_recordset(coalesce(charges, jsonb_build_array(coalesce(record -> 'usage', '{}') || jsonb_build_object(
        'model', coalesce(record -> 'model' ->> 'resolved', 'unknown')))))
        AS (model text, input_tokens bigint, output_tokens bigint, cached_input_tokens bigint,
            cache_write_input_tokens bigint, cost_usd numeric)
) WITH ORDINALITY AS charge (model, input_tokens, output_tokens, cached_input_tokens, cache_write_input_tokens,
    cost_usd, place)
WHERE ended_at IS NOT NULL;

INSERT INTO usage_by_day
SELECT day, agent_name, agent_revision, key_id, model, status, sum(runs), sum(unpriced), sum(input_tokens),
    sum(output_tokens), sum(cached_input_tokens), sum(cache_write_input_tokens), sum(cost_usd)
FROM run_charges
GROUP BY day, agent_name, agent_revision, key_id, model, status;

-- Records come in the order of their times and go in it: an index of ranges is enough to find the old ones.
CREATE INDEX runs_by_end ON runs USING brin (ended_at);
CREATE INDEX dispatches_by_age ON dispatches USING brin (created_at);
CREATE INDEX conversations_by_age ON conversations (updated_at);
