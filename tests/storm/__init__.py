"""Everything at once against the real processes, and what must hold when it is over: `python -m tests.storm`."""
