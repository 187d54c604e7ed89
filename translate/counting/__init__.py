"""Tokens: what a reply took, and what a request would take."""
