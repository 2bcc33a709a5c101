-- An agent that was disabled when it was archived is disabled again when it comes back: only an operator enables it.

ALTER TABLE agents ADD COLUMN was_disabled boolean NOT NULL DEFAULT false;
