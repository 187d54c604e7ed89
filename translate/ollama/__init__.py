"""Ollama's own API, for its clients: other addresses and shapes of Chat and of embeddings, but no protocol of its
own."""
