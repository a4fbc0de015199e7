"""Of what time does, T-01 to T-05, what no test carries, or not to the letter."""

MISSING = {
    "T-02": "not yet looked at",
    "T-03": "not yet looked at",
    "T-04": "not yet looked at",
    "T-05": "not yet looked at",
}
