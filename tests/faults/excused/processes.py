"""Of the faults of its processes, P-01 to P-14, what no test carries, or not to the letter."""

MISSING = {}

PARTLY = {
    "P-04": "the stream is ended in its own words on the way, within 2 s; a record is on disk when it is spooled",
    "P-12": "few files and a disk that takes nothing; little memory is not tried, nor a machine without /tmp",
}
"""Carried, but not to the letter."""
