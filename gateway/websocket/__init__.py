"""OpenAI Responses over a websocket."""
