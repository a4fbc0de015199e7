-- step: which accounts are not asked for a while, for what of theirs (* is every model), and until when; a rest holds while the account's updated_at is still revision, and its outbound proxy (0 is none) still proxy_id; no foreign key: an account of the configuration file has no row
CREATE TABLE account_rests (
    account_id TEXT NOT NULL,
    reach TEXT NOT NULL,
    reason TEXT NOT NULL,
    ends_at DATETIME NOT NULL,
    revision DATETIME NOT NULL,
    proxy_id INTEGER NOT NULL,
    PRIMARY KEY (account_id, reach, proxy_id)
)
-- step
CREATE INDEX account_rests_by_end ON account_rests (ends_at)
