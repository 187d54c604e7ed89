"""OpenAI Chat Completions. `dialect.py` puts the parts together."""
