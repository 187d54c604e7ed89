"""OpenAI Responses over a websocket.

socket   from its upgrade to its end; arriving: counts its messages while they come
session  its turns; writer: replies as frames
"""
