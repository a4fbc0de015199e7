"""Of the faults of its processes, P-01 to P-14, what no test carries, or not to the letter."""

PARTLY = {
    "P-12": "requests are bounded by their number (`server.max_concurrency`), not by memory: where that runs out within "
    "a library in C the process ends without a word, and it is a supervisor that says so and starts another one",
}
"""Carried, but not to the letter."""
