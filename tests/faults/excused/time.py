"""Of what time does, T-01 to T-05, what no test carries, or not to the letter."""

PARTLY = {
    "T-02": "sums are told in UTC alone: there is no zone for reports",
}
