"""How many tokens a text has: calibration (estimates, learned from real usage), exact_counts and the public vocabulary
that they need. gateway/flow/token_counting.py decides which of them answers."""
