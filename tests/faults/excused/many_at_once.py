"""Of what many do at once, C-01 to C-21 and C-30, what no test carries, or not to the letter."""

PARTLY = {
    "C-01": "amid a stream the log says `client_gone` and 200, which is what the client was sent; 499 is for none sent",
    "C-04": "a client that closes its side is gone, as for nginx: nobody can tell it from one that left altogether",
    "C-30": "requests a minute and at a time; there is no limit of tokens a minute",
}
"""Carried, but not to the letter."""

AT_LENGTH = {
    "C-05": "a hundred clients in every run, a thousand in `tox -e faults`",
    "C-06": "a hundred streams in every run, a thousand in `tox -e faults`: there 8 KiB each, and p99 0.08 s",
    "C-08": "a cap of 120 in every run, of 2,000 in `tox -e faults`, and a quarter too many",
}
