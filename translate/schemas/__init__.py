"""JSON schemas of tools and replies, made to fit what each provider takes of JSON Schema (`table.py`)."""
