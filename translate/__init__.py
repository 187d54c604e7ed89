"""What the protocols mean: pure functions from bytes and objects to bytes and objects.

`dialect.py` says what a protocol is to the rest of the program, and `dialects.py` has the table of protocols. `pair.py`
is the door: it takes a request from one protocol to another, and the reply back. In between is the neutral form of
`conversation.py`. messages/, chat/, responses/ and gemini/ are one protocol each, and have files of the same names.
schemas/ makes JSON schemas fit, envelopes/ has what clouds put around Messages, ollama/ and codex/ are about clients.
The other files are what several protocols share. `ledger.py` says what becomes of each field.
"""
