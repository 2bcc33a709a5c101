-- Whose texts were deleted. A journal that was begun before may hold records with such texts that are not written yet, as
-- one of an instance that was killed does: whoever writes them takes the texts out again.
CREATE TABLE forgotten_texts (
    -- Of a run, or of a conversation with all its runs.
    id           uuid        PRIMARY KEY,
    forgotten_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Where no journal is left that was begun before, nothing can bring the texts back.
ALTER TABLE journals ADD COLUMN begun_at timestamptz NOT NULL DEFAULT now();
