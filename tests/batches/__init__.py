"""A batch whose proxy is killed again and again. `python -m tests.batches` runs the long form of it."""
