-- Messages that were copied into another conversation remember the run that they came with, so that they go with it.

ALTER TABLE conversation_messages ADD COLUMN copied_from uuid;
CREATE INDEX conversation_messages_copied_from ON conversation_messages (copied_from) WHERE copied_from IS NOT NULL;
