"""Google's Gemini API. `dialect.py` puts the parts together."""
