"""Streams of events: split, read on the fast path, put in sequence, rid of what is said twice, and written."""
