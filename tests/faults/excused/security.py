"""Of security, S-01 to S-25, what no test carries, or not to the letter."""

PARTLY = {
    "S-01": "there is one kind of admin key: it has no scopes of reading and writing",
    "S-03": "of the time it takes is shown that a key is hashed once whether anybody has it or not; no clock is read",
    "S-06": "a client has no objects here; what a vendor keeps under an id is its account's",
    "S-09": "what is stored has its row in the audit log; a test of an account changes nothing, and has none",
    "S-11": "within two seconds where a worker was told, as a starved machine needs them, and five without Redis",
    "S-12": "without an admin key one is made at the first start, and kept where its owner alone reads it; no webhooks",
    "S-17": "images are not fetched: their addresses go on to the vendor",
}
AT_LENGTH = {
    "S-25": "two thousand secrets in every run, ten thousand in `tox -e lengthy`",
}
