-- step
CREATE TABLE proxy_pool (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    url TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    protocol TEXT NOT NULL CHECK (protocol IN ('http', 'https', 'socks5')),
    is_active BOOLEAN NOT NULL,
    health_status TEXT NOT NULL DEFAULT 'healthy' CHECK (health_status IN ('healthy', 'degraded', 'down')),
    max_accounts INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL DEFAULT 0,
    weight INTEGER NOT NULL DEFAULT 1,
    consecutive_failures INTEGER NOT NULL DEFAULT 0,
    max_failures INTEGER,
    success_rate DOUBLE,
    avg_latency_ms INTEGER,
    last_checked_at DATETIME,
    last_used_at DATETIME,
    usage_count INTEGER NOT NULL DEFAULT 0,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
)
-- step: an account of the configuration file has no row in accounts, but an exit like any other; a login that is under way has none yet
CREATE TABLE proxy_bindings (
    account_id TEXT NOT NULL PRIMARY KEY,
    proxy_id INTEGER NOT NULL REFERENCES proxy_pool (id) ON DELETE RESTRICT,
    bound_at DATETIME NOT NULL,
    reserved_until DATETIME
)
-- step
CREATE INDEX proxy_bindings_by_proxy ON proxy_bindings (proxy_id)
-- step
ALTER TABLE accounts ADD COLUMN egress TEXT NOT NULL DEFAULT 'pool' CHECK (egress IN ('pool', 'direct'))
-- step: what an account is bound to stands in proxy_bindings; nothing ever wrote here
ALTER TABLE accounts DROP COLUMN proxy_id
