-- step: what each outbound proxy carried for each provider on each day (UTC); no foreign key: it stays true when the proxy is gone
CREATE TABLE proxy_stats (
    proxy_id BIGINT NOT NULL,
    date DATE NOT NULL,
    provider_id VARCHAR(64) NOT NULL,
    request_count BIGINT NOT NULL,
    success_count BIGINT NOT NULL,
    error_count BIGINT NOT NULL,
    total_latency_ms BIGINT NOT NULL,
    PRIMARY KEY (proxy_id, date, provider_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step: sums by the hour, since a million rows cannot be added up while somebody waits; latencies are counted by buckets
CREATE TABLE call_stats (
    dimension VARCHAR(16) NOT NULL,
    hour DATETIME NOT NULL,
    name VARCHAR(255) NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    upto_10 BIGINT NOT NULL,
    upto_25 BIGINT NOT NULL,
    upto_50 BIGINT NOT NULL,
    upto_100 BIGINT NOT NULL,
    upto_200 BIGINT NOT NULL,
    upto_350 BIGINT NOT NULL,
    upto_500 BIGINT NOT NULL,
    upto_750 BIGINT NOT NULL,
    upto_1000 BIGINT NOT NULL,
    upto_1500 BIGINT NOT NULL,
    upto_2500 BIGINT NOT NULL,
    upto_4000 BIGINT NOT NULL,
    upto_6000 BIGINT NOT NULL,
    upto_10000 BIGINT NOT NULL,
    upto_15000 BIGINT NOT NULL,
    upto_25000 BIGINT NOT NULL,
    upto_40000 BIGINT NOT NULL,
    upto_60000 BIGINT NOT NULL,
    upto_120000 BIGINT NOT NULL,
    upto_300000 BIGINT NOT NULL,
    upto_3600000 BIGINT NOT NULL,
    PRIMARY KEY (dimension, hour, name),
    KEY call_stats_by_name (dimension, name, hour)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
-- step
ALTER TABLE request_logs ADD INDEX request_logs_by_model (model, created_at, seq)
-- step
ALTER TABLE request_logs ADD INDEX request_logs_by_key (client_key_id, created_at, seq)
-- step
ALTER TABLE request_logs ADD INDEX request_logs_by_outcome (outcome, created_at, seq)
