"""OpenAI Responses. `dialect.py` puts the parts together."""
