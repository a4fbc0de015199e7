-- step: active, or needs_login: what no configuration says and no restart mends
ALTER TABLE accounts ADD COLUMN status TEXT NOT NULL DEFAULT 'active'
-- step
ALTER TABLE accounts ADD COLUMN status_reason TEXT
-- step
ALTER TABLE accounts ADD COLUMN status_until DATETIME
-- step: counts the writings of auth_data, so that a late one finds out
ALTER TABLE accounts ADD COLUMN auth_generation INTEGER NOT NULL DEFAULT 0
-- step: who is spending the refresh token now, and until when nobody else may
ALTER TABLE accounts ADD COLUMN refresh_attempt TEXT
-- step
ALTER TABLE accounts ADD COLUMN refresh_until DATETIME
-- step: logins that have been begun; the id is the hash of the state, the rest of it is sealed
CREATE TABLE oauth_logins (
    id TEXT NOT NULL PRIMARY KEY,
    provider_id TEXT NOT NULL,
    data TEXT NOT NULL,
    expires_at DATETIME NOT NULL
)
