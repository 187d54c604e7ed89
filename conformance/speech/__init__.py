"""The protocols as the kit speaks them: how each asks for a thing, and how each says one."""

from __future__ import annotations

from conformance.speech.base import Call, Said, Speech
from conformance.speech.chat import Chat
from conformance.speech.gemini import Gemini
from conformance.speech.messages import Messages
from conformance.speech.responses import Responses

ALL: tuple[Speech, ...] = (Messages(), Chat(), Responses(), Gemini())

__all__ = ["ALL", "Call", "Said", "Speech"]
