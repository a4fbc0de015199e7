-- step
CREATE TABLE proxy_pool (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    url LONGTEXT NOT NULL,
    fingerprint VARCHAR(64) NOT NULL,
    protocol VARCHAR(8) NOT NULL CHECK (protocol IN ('http', 'https', 'socks5')),
    is_active BOOLEAN NOT NULL,
    health_status VARCHAR(16) NOT NULL DEFAULT 'healthy' CHECK (health_status IN ('healthy', 'degraded', 'down')),
    max_accounts BIGINT NOT NULL DEFAULT 0,
    priority BIGINT NOT NULL DEFAULT 0,
    weight BIGINT NOT NULL DEFAULT 1,
    consecutive_failures BIGINT NOT NULL DEFAULT 0,
    max_failures BIGINT,
    success_rate DOUBLE,
    avg_latency_ms BIGINT,
    last_checked_at DATETIME(6),
    last_used_at DATETIME(6),
    usage_count BIGINT NOT NULL DEFAULT 0,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    UNIQUE KEY proxy_pool_fingerprint (fingerprint)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step: an account of the configuration file has no row in accounts, but an exit like any other; a login that is under way has none yet
CREATE TABLE proxy_bindings (
    account_id VARCHAR(64) NOT NULL PRIMARY KEY,
    proxy_id BIGINT NOT NULL,
    bound_at DATETIME(6) NOT NULL,
    reserved_until DATETIME(6),
    KEY proxy_bindings_by_proxy (proxy_id),
    CONSTRAINT proxy_bindings_proxy FOREIGN KEY (proxy_id) REFERENCES proxy_pool (id) ON DELETE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step
ALTER TABLE accounts ADD COLUMN egress VARCHAR(8) NOT NULL DEFAULT 'pool' CHECK (egress IN ('pool', 'direct'))
-- step: what an account is bound to stands in proxy_bindings; nothing ever wrote here
ALTER TABLE accounts DROP COLUMN proxy_id
