"""A staged incident, and what the logs answer to one who is called at night: `python -m tests.incident`."""
