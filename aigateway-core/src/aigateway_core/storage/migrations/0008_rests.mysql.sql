-- step: which accounts are not asked for a while, for what of theirs (* is every model), and until when; a rest holds while the account's updated_at is still revision, and its outbound proxy (0 is none) still proxy_id; no foreign key: an account of the configuration file has no row
CREATE TABLE account_rests (
    account_id VARCHAR(64) NOT NULL,
    reach VARCHAR(255) NOT NULL,
    reason VARCHAR(255) NOT NULL,
    ends_at DATETIME(6) NOT NULL,
    revision DATETIME(6) NOT NULL,
    proxy_id BIGINT NOT NULL,
    PRIMARY KEY (account_id, reach, proxy_id),
    KEY account_rests_by_end (ends_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
