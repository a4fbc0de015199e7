-- step: what a client key may use, as JSON lists; NULL is everything
ALTER TABLE api_keys ADD COLUMN providers TEXT
-- step
ALTER TABLE api_keys ADD COLUMN models TEXT
-- step
ALTER TABLE api_keys ADD COLUMN accounts TEXT
-- step
ALTER TABLE api_keys ADD COLUMN requests_per_minute INTEGER
-- step
ALTER TABLE api_keys ADD COLUMN concurrency INTEGER
-- step: NULL for a key that was never changed
ALTER TABLE api_keys ADD COLUMN updated_at DATETIME
-- step
CREATE TABLE model_mappings (
    alias TEXT NOT NULL PRIMARY KEY,
    targets TEXT NOT NULL,
    description TEXT NOT NULL,
    is_active BOOLEAN NOT NULL,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
)
