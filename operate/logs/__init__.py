"""Logs: one JSON object a line, written where they hold no request up."""
