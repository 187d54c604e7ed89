"""JSON mode: a reply that is one JSON object of no certain schema.

OpenAI answers 400 to it unless a message says "json"; for Responses the `instructions` are none. Google wants no such
word, and Anthropic has no such mode: it is asked for in words alone.
"""

from __future__ import annotations

import re

from msgspec import structs

from translate.conversation import Conversation, Part, Text

ONE_OBJECT = "Answer with exactly one JSON object and nothing else: no prose, no code fence."
_WORD = re.compile("json", re.IGNORECASE)


def is_wanted(conversation: Conversation) -> bool:
    return conversation.output is not None and conversation.output.kind == "json_object"


def others(system: list[Part]) -> list[Part]:
    """Returns the instructions without the one that asks for it in this module's words, for an encoder that says it in
    its own place. A request in Ollama's form has it in Chat's."""
    return [part for part in system if not (isinstance(part, Text) and part.text == ONE_OBJECT)]


def is_unsaid(conversation: Conversation) -> bool:
    """Tells whether it is wanted, and no message besides the instructions at the start says so."""
    if not is_wanted(conversation):
        return False
    return not any(_say(turn.parts) for turn in conversation.turns if turn.role != "assistant")


def in_words(conversation: Conversation) -> Conversation:
    """Returns the conversation with an instruction that says so, where nothing else does."""
    if not is_unsaid(conversation) or _say(conversation.system):
        return conversation
    return structs.replace(conversation, system=[*conversation.system, Text(ONE_OBJECT)])


def is_said(text: str) -> bool:
    return _WORD.search(text) is not None


def _say(parts: list[Part]) -> bool:
    return any(isinstance(part, Text) and is_said(part.text) for part in parts)
