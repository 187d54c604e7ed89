"""The logs: one JSON object on each line, written by a thread so that no request waits for the disk."""
