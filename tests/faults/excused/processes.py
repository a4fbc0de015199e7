"""Of the faults of its processes, P-01 to P-14, what no test carries, or not to the letter."""
