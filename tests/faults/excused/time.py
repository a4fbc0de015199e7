"""Of what time does, T-01 to T-05, what no test carries, or not to the letter."""
