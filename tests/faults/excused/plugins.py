"""Of plugins and the supply chain, X-01 to X-08, what no test carries, or not to the letter."""

PARTLY = {
    "X-03": "ruff has bandit's rules; there is no CI file here to look at, and pip-audit asks a service of advisories",
    "X-07": "a plugin that cannot be imported stops the start, in one line: nothing runs by halves",
}
AT_LENGTH = {
    "X-01": "two entries are installed and refused in every run; all of them are fetched and compared by `tox -e lock`",
}
