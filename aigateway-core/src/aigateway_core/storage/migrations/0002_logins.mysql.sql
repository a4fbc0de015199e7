-- step: active, or needs_login: what no configuration says and no restart mends
ALTER TABLE accounts ADD COLUMN status VARCHAR(16) NOT NULL DEFAULT 'active'
-- step
ALTER TABLE accounts ADD COLUMN status_reason VARCHAR(255)
-- step
ALTER TABLE accounts ADD COLUMN status_until DATETIME(6)
-- step: counts the writings of auth_data, so that a late one finds out
ALTER TABLE accounts ADD COLUMN auth_generation BIGINT NOT NULL DEFAULT 0
-- step: who is spending the refresh token now, and until when nobody else may
ALTER TABLE accounts ADD COLUMN refresh_attempt VARCHAR(32)
-- step
ALTER TABLE accounts ADD COLUMN refresh_until DATETIME(6)
-- step: logins that have been begun; the id is the hash of the state, the rest of it is sealed
CREATE TABLE oauth_logins (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    provider_id VARCHAR(64) NOT NULL,
    data LONGTEXT NOT NULL,
    expires_at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
