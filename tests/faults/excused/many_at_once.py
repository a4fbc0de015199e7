"""Of what many do at once, C-01 to C-21 and C-30, what no test carries, or not to the letter."""

PARTLY = {
    "C-01": "amid a stream the log says `client_gone` and 200, which is what the client was sent; 499 is for none sent",
    "C-04": "a client that closes its side is gone, as for nginx: nobody can tell it from one that left altogether",
    "C-05": "fifty or sixty at a time; an engine's pool has no limit of its own",
    "C-06": "a hundred in every run, a thousand in `tox -e faults`; measured there, p99 0.26 s when it was busy",
    "C-08": "likewise: a cap of 120 or 1,020, and fifty too many",
    "C-30": "requests a minute and at a time; there is no limit of tokens a minute",
}
"""Carried, but not to the letter."""
