"""Of what time does, T-01 to T-05, what no test carries, or not to the letter."""

PARTLY = {
    "T-01": "by clocks that a test sets; of Redis its key's end at midnight is tested (core/state/test_redis_outages)",
    "T-02": "sums are told in UTC alone: there is no zone for reports",
    "T-04": "by clocks that a test sets; with Redis, whose clock was set back as well, a rest lasts as much longer",
}
