"""Of the soak and the resources, K-01 to K-08, what no test carries, or not to the letter."""

MISSING = {
    "K-02": "not yet looked at",
    "K-03": "not yet looked at",
    "K-04": "not yet looked at",
    "K-05": "not yet looked at",
    "K-06": "not yet looked at",
    "K-08": "not yet looked at",
}
PARTLY = {
    "K-01": "2,000 requests by default, where only the counts are judged; 200,000 with tox -e soak",
    "K-07": "those of Redis may lag, and are not compared",
}
