-- step: what there is to know about this database itself
CREATE TABLE storage_facts (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    value VARCHAR(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step: the row that every audited change locks, so that audit ids come in the order of commits
INSERT IGNORE INTO storage_facts (name, value) VALUES ('writer', '')
-- step
CREATE TABLE providers (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    base_url VARCHAR(2048),
    auth_type VARCHAR(16),
    auth_strategy VARCHAR(64),
    supported_models LONGTEXT NOT NULL CHECK (json_valid(supported_models)),
    is_active BOOLEAN NOT NULL,
    config LONGTEXT NOT NULL CHECK (json_valid(config)),
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step
CREATE TABLE accounts (
    id VARCHAR(36) NOT NULL PRIMARY KEY,
    provider_id VARCHAR(64) NOT NULL,
    label VARCHAR(255) NOT NULL,
    auth_data LONGTEXT NOT NULL,
    metadata LONGTEXT NOT NULL CHECK (json_valid(metadata)),
    is_active BOOLEAN NOT NULL,
    proxy_url LONGTEXT,
    proxy_id BIGINT,
    expires_at DATETIME(6),
    last_used_at DATETIME(6),
    usage_count BIGINT NOT NULL DEFAULT 0,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    KEY accounts_by_provider (provider_id, created_at),
    CONSTRAINT accounts_provider FOREIGN KEY (provider_id) REFERENCES providers (id) ON DELETE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step
CREATE TABLE api_keys (
    id VARCHAR(16) NOT NULL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    role VARCHAR(16) NOT NULL CHECK (role IN ('client', 'admin')),
    hash VARCHAR(255) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    last_used_at DATETIME(6),
    revoked_at DATETIME(6),
    expires_at DATETIME(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step
CREATE TABLE audit_log (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created_at DATETIME(6) NOT NULL,
    actor VARCHAR(64) NOT NULL,
    action VARCHAR(64) NOT NULL,
    entity VARCHAR(64) NOT NULL,
    entity_id VARCHAR(64) NOT NULL,
    detail LONGTEXT NOT NULL CHECK (json_valid(detail)),
    request_id VARCHAR(128)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step: no foreign keys: what happened stays true when an account is gone
CREATE TABLE request_logs (
    seq BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id VARCHAR(64) NOT NULL,
    request_id VARCHAR(128) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    dialect VARCHAR(32) NOT NULL,
    client_key_id VARCHAR(64) NOT NULL,
    outcome VARCHAR(32) NOT NULL,
    status_code INT NOT NULL,
    latency_ms BIGINT NOT NULL,
    model VARCHAR(255),
    upstream_model VARCHAR(255),
    provider_id VARCHAR(64),
    account_id VARCHAR(64),
    proxy_id BIGINT,
    streamed BOOLEAN NOT NULL,
    native BOOLEAN NOT NULL,
    time_to_first_byte_ms BIGINT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    cached_tokens BIGINT,
    reasoning_tokens BIGINT,
    usage_source VARCHAR(16),
    finish_reason VARCHAR(64),
    error_kind VARCHAR(64),
    error VARCHAR(2000),
    attempts LONGTEXT NOT NULL CHECK (json_valid(attempts)),
    UNIQUE KEY request_logs_id (id),
    KEY request_logs_by_time (created_at, seq),
    KEY request_logs_by_provider (provider_id, created_at, seq),
    KEY request_logs_by_account (account_id, created_at, seq)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
