"""Of the faults of what the gateway depends on, D-01 to D-24, what no test carries, or not to the letter."""

PARTLY = {
    "D-01": "30 calls a second for six seconds; AIGATEWAY_TEST_OUTAGE_SECONDS makes it longer",
    "D-02": "after six seconds instead of sixty, likewise",
    "D-03": "there is no sealed state: what is wrong for good ends the start, tables of another version too",
    "D-04": "six seconds instead of thirty; an administrator waits for the 5 s of a read or the 15 s of a caller",
    "D-08": "that no call waits for the database, not the 5 ms",
    "D-09": "the whole batch at each place where it can be cut, of three rows instead of a thousand",
    "D-11": "a full disk is known by its numbers; none is filled",
    "D-12": "the turns of one worker stay even; the 5 ms are asked of the state, not of a call",
    "D-13": "likewise",
    "D-16": "six seconds instead of ten minutes, likewise",
    "D-23": "a long life is believed, without the clamp to a day: a token without a refresh token would end with it",
    "D-19": "within 20 s, since a read that was under way may take its time",
}
