"""Anthropic Messages. `dialect.py` puts the parts together."""
