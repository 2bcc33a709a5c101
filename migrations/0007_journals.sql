-- How much of an instance's journal is in the tables, in bytes from its beginning. It is set in the transaction that
-- writes the records: none is written twice, whenever the instance or its connection is cut. A journal without a row
-- belongs to another database.
CREATE TABLE journals (
    instance_id uuid   PRIMARY KEY,
    taken       bigint NOT NULL,
    CONSTRAINT journals_taken_from_zero CHECK (taken >= 0)
);
