"""Tokens.

usage            what a reply took
tokens           an estimate of what a request would take; token_features: numbers that determine it
text_turns       requests that are only text, which can be counted exactly
"""
