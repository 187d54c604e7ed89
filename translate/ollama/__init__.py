"""Ollama's own API, for its clients: other addresses and shapes of Chat and of embeddings, but no protocol of its own.

endpoints  the addresses
request    its requests as Chat's; reply: Chat's replies in its form; embeddings: both ways
models     what its clients are told of models
"""
