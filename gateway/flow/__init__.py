"""One request: its walk, its attempts, and every way it ends."""
