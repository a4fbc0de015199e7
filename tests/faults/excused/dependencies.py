"""Of the faults of what the gateway depends on, D-01 to D-24, what no test carries, or not to the letter."""

PARTLY = {
    "D-03": "there is no sealed state: what is wrong for good ends the start, tables of another version too",
    "D-23": "a long life is believed, without the clamp to a day: a token without a refresh token would end with it",
}
AT_LENGTH = {
    "D-04": "six seconds in every run, thirty in `tox -e lengthy`",
    "D-02": "after six seconds in every run, after sixty in `tox -e lengthy`",
    "D-16": "six seconds in every run, ten minutes in `tox -e lengthy`",
}
