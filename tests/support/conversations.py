"""Conversations as if a client had sent them: they carry the words of the protocol whose leftovers they hold."""

from __future__ import annotations

from typing import Any

from translate import dialects
from translate.conversation import Conversation


def of_client(*args: Any, **fields: Any) -> Conversation:
    conversation = Conversation(*args, **fields)
    for protocol in conversation.ext:
        if protocol in dialects.names():
            conversation.words = dialects.of(protocol).words
    return conversation
