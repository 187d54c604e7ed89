"""Codex as a client: what it wants to know of a model before it asks one."""
