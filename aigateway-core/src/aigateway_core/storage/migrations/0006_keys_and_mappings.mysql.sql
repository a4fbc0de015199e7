-- step: what a client key may use, as JSON lists; NULL is everything
ALTER TABLE api_keys ADD COLUMN providers LONGTEXT
-- step
ALTER TABLE api_keys ADD COLUMN models LONGTEXT
-- step
ALTER TABLE api_keys ADD COLUMN accounts LONGTEXT
-- step
ALTER TABLE api_keys ADD COLUMN requests_per_minute BIGINT
-- step
ALTER TABLE api_keys ADD COLUMN concurrency BIGINT
-- step: NULL for a key that was never changed
ALTER TABLE api_keys ADD COLUMN updated_at DATETIME(6)
-- step
CREATE TABLE model_mappings (
    alias VARCHAR(255) NOT NULL PRIMARY KEY,
    targets LONGTEXT NOT NULL,
    description VARCHAR(1000) NOT NULL,
    is_active BOOLEAN NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
