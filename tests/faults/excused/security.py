"""Of security, S-01 to S-25, what no test carries, or not to the letter."""

PARTLY = {
    "S-01": "there is one kind of admin key: it has no scopes of reading and writing",
    "S-12": "without an admin key one is made at the first start, and kept where its owner alone reads it; no webhooks",
}
AT_LENGTH = {
    "S-25": "two thousand secrets in every run, ten thousand in `tox -e lengthy`",
}
