"""Responses over a websocket."""
