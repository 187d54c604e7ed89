"""Streams as other servers would send them: the same reply, with another server's habits.

A stream is a list of `(event name, JSON data)`; each mutation takes it (and a seeded random source) and gives
one that must mean the same. Every one was seen in recorded traffic at some server; here they meet in
combinations that no recording has. `render` writes the events in one of several legal framings.
"""

from tests.support.mutate import calls, chat, messages
from tests.support.mutate.base import CHAT, FRAMINGS, MESSAGES, Event, Mutation, parse, render

__all__ = [
    "CHAT",
    "FRAMINGS",
    "MESSAGES",
    "Event",
    "Mutation",
    "calls",
    "chat",
    "messages",
    "parse",
    "render",
]
