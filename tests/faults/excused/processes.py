"""Of the faults of its processes, P-01 to P-14, what no test carries, or not to the letter."""

MISSING = {}

PARTLY = {
    "P-02": "`/ready` says 503 on a connection that is open already; nobody can ask it on a new one",
    "P-04": "the stream is ended in its own words on the way, within 2 s; a record is on disk when it is spooled",
    "P-05": "a row is written when its call is over: those that a kill cuts off have none, and none is left open",
    "P-06": "the requests that are lost are no more than were under way; which worker had which is not told apart",
    "P-07": "one of the two that renew is killed at each step, without the rest of a gateway",
    "P-12": "few files and a disk that takes nothing; little memory is not tried, nor a machine without /tmp",
}
"""Carried, but not to the letter."""
