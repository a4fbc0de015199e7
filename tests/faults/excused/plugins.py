"""Of plugins and the supply chain, X-01 to X-08, what no test carries, or not to the letter."""

PARTLY = {
    "X-01": "two entries are installed and refused in each run; all of them are fetched and compared by tox -e lock",
    "X-03": "ruff has bandit's rules; there is no CI file here to look at, and pip-audit asks a service of advisories",
    "X-04": "what two plugins offer by one name stops the start as two entry points of one name do",
    "X-06": "hooks are asked at the start alone and get no token: their order decides nothing",
    "X-07": "a plugin that cannot be imported stops the start, in one line: nothing runs by halves",
    "X-08": "memory that it leaks, threads, and changes of others' modules are what being in the process means",
}
