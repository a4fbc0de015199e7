-- step: what there is to know about this database itself
CREATE TABLE storage_facts (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
)
-- step: the row that every audited change locks, so that audit ids come in the order of commits
INSERT OR IGNORE INTO storage_facts (name, value) VALUES ('writer', '')
-- step
CREATE TABLE providers (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    base_url TEXT,
    auth_type TEXT,
    auth_strategy TEXT,
    supported_models TEXT NOT NULL CHECK (json_valid(supported_models)),
    is_active BOOLEAN NOT NULL,
    config TEXT NOT NULL CHECK (json_valid(config)),
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
)
-- step
CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES providers (id) ON DELETE RESTRICT,
    label TEXT NOT NULL,
    auth_data TEXT NOT NULL,
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    is_active BOOLEAN NOT NULL,
    proxy_url TEXT,
    proxy_id INTEGER,
    expires_at DATETIME,
    last_used_at DATETIME,
    usage_count INTEGER NOT NULL DEFAULT 0,
    created_at DATETIME NOT NULL,
    updated_at DATETIME NOT NULL
)
-- step
CREATE INDEX accounts_by_provider ON accounts (provider_id, created_at)
-- step
CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('client', 'admin')),
    hash TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    last_used_at DATETIME,
    revoked_at DATETIME,
    expires_at DATETIME
)
-- step
CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at DATETIME NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    entity TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    detail TEXT NOT NULL CHECK (json_valid(detail)),
    request_id TEXT
)
-- step: no foreign keys: what happened stays true when an account is gone
CREATE TABLE request_logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    dialect TEXT NOT NULL,
    client_key_id TEXT NOT NULL,
    outcome TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    model TEXT,
    upstream_model TEXT,
    provider_id TEXT,
    account_id TEXT,
    proxy_id INTEGER,
    streamed BOOLEAN NOT NULL,
    native BOOLEAN NOT NULL,
    time_to_first_byte_ms INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cached_tokens INTEGER,
    reasoning_tokens INTEGER,
    usage_source TEXT,
    finish_reason TEXT,
    error_kind TEXT,
    error TEXT,
    attempts TEXT NOT NULL CHECK (json_valid(attempts))
)
-- step
CREATE INDEX request_logs_by_time ON request_logs (created_at, seq)
-- step
CREATE INDEX request_logs_by_provider ON request_logs (provider_id, created_at, seq)
-- step
CREATE INDEX request_logs_by_account ON request_logs (account_id, created_at, seq)
