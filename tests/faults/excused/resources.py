"""Of the soak and the resources, K-01 to K-08, what no test carries, or not to the letter."""

MISSING = {
    "K-01": "not yet looked at",
    "K-02": "not yet looked at",
    "K-03": "not yet looked at",
    "K-04": "not yet looked at",
    "K-05": "not yet looked at",
    "K-06": "not yet looked at",
    "K-07": "not yet looked at",
    "K-08": "not yet looked at",
}
