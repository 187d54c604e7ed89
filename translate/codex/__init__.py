"""Codex as a client: what it wants to know of a model before it asks one.

catalogue  the list of models in its form; instructions: the prompt of a model that it does not know
"""
