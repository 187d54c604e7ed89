"""Responses and threads that the proxy keeps for its clients."""
