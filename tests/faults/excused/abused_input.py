"""Of the abused input, I-01 to I-36, what no test carries, or not to the letter."""

PARTLY = {
    "I-19": "data where nothing is translated, else dropped and named in a header; never a way elsewhere",
}
AT_LENGTH = {
    "I-31": "over 50,000 rows of the log in every run, over a million in `tox -e lengthy`",
}
