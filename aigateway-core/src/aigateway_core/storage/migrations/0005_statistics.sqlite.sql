-- step: what each outbound proxy carried for each provider on each day (UTC); no foreign key: it stays true when the proxy is gone
CREATE TABLE proxy_stats (
    proxy_id INTEGER NOT NULL,
    date DATE NOT NULL,
    provider_id TEXT NOT NULL,
    request_count INTEGER NOT NULL,
    success_count INTEGER NOT NULL,
    error_count INTEGER NOT NULL,
    total_latency_ms INTEGER NOT NULL,
    PRIMARY KEY (proxy_id, date, provider_id)
)
-- step: sums by the hour, since a million rows cannot be added up while somebody waits; latencies are counted by buckets
CREATE TABLE call_stats (
    dimension TEXT NOT NULL,
    hour DATETIME NOT NULL,
    name TEXT NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    latency_ms INTEGER NOT NULL,
    upto_10 INTEGER NOT NULL,
    upto_25 INTEGER NOT NULL,
    upto_50 INTEGER NOT NULL,
    upto_100 INTEGER NOT NULL,
    upto_200 INTEGER NOT NULL,
    upto_350 INTEGER NOT NULL,
    upto_500 INTEGER NOT NULL,
    upto_750 INTEGER NOT NULL,
    upto_1000 INTEGER NOT NULL,
    upto_1500 INTEGER NOT NULL,
    upto_2500 INTEGER NOT NULL,
    upto_4000 INTEGER NOT NULL,
    upto_6000 INTEGER NOT NULL,
    upto_10000 INTEGER NOT NULL,
    upto_15000 INTEGER NOT NULL,
    upto_25000 INTEGER NOT NULL,
    upto_40000 INTEGER NOT NULL,
    upto_60000 INTEGER NOT NULL,
    upto_120000 INTEGER NOT NULL,
    upto_300000 INTEGER NOT NULL,
    upto_3600000 INTEGER NOT NULL,
    PRIMARY KEY (dimension, hour, name)
)
-- step
CREATE INDEX call_stats_by_name ON call_stats (dimension, name, hour)
-- step
CREATE INDEX request_logs_by_model ON request_logs (model, created_at, seq)
-- step
CREATE INDEX request_logs_by_key ON request_logs (client_key_id, created_at, seq)
-- step
CREATE INDEX request_logs_by_outcome ON request_logs (outcome, created_at, seq)
