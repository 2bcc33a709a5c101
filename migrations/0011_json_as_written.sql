-- Records that are read whole, and hardly ever looked into, are kept as they are written: `jsonb` is taken apart and put
-- together again, which was a quarter of what a run costs.

DROP VIEW run_charges;
ALTER TABLE runs ALTER COLUMN record TYPE json, ALTER COLUMN charges TYPE json;
ALTER TABLE dispatches ALTER COLUMN decision TYPE json;

CREATE VIEW run_charges AS
SELECT runs.id AS run_id, (ended_at AT TIME ZONE 'UTC')::date AS day, agent_name, agent_revision, key_id,
    left(charge.model, 200) AS model,
    status, (place = 1)::integer AS runs, (charge.cost_usd IS NULL)::integer AS unpriced,
    coalesce(charge.input_tokens, 0) AS input_tokens, coalesce(charge.output_tokens, 0) AS output_tokens,
    coalesce(charge.cached_input_tokens, 0) AS cached_input_tokens,
    coalesce(charge.cache_write_input_tokens, 0) AS cache_write_input_tokens, coalesce(charge.cost_usd, 0) AS cost_usd
FROM runs, ROWS FROM (
    jsonb_to_recordset(coalesce(charges::jsonb, jsonb_build_array(coalesce(record::jsonb -> 'usage', '{}') ||
        jsonb_build_object('model', coalesce(record -> 'model' ->> 'resolved', 'unknown')))))
        AS (model text, input_tokens bigint, output_tokens bigint, cached_input_tokens bigint,
            cache_write_input_tokens bigint, cost_usd numeric)
) WITH ORDINALITY AS charge (model, input_tokens, output_tokens, cached_input_tokens, cache_write_input_tokens,
    cost_usd, place)
WHERE ended_at IS NOT NULL;

-- Long texts are compressed the quick way, where the server was built with it.
DO $$
BEGIN
    ALTER TABLE dispatches ALTER COLUMN decision SET COMPRESSION lz4, ALTER COLUMN input SET COMPRESSION lz4;
    ALTER TABLE runs ALTER COLUMN record SET COMPRESSION lz4;
    ALTER TABLE run_events ALTER COLUMN events SET COMPRESSION lz4;
    ALTER TABLE conversation_messages ALTER COLUMN message SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
