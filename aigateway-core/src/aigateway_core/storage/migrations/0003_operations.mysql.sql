-- step: what was asked for: an answer, the size of a prompt, vectors
ALTER TABLE request_logs ADD COLUMN operation VARCHAR(32) NOT NULL DEFAULT 'chat'
