"""Parts of a history that only point to content which the upstream keeps: no other upstream can read it.

An answer in speech goes back to OpenAI's Chat by its id alone. Elsewhere the turn would be missing without a trace, so
its transcript stands in its place, and without one the request is refused.
"""

from __future__ import annotations

from msgspec.structs import replace

from translate.conversation import Conversation, Text, Turn
from translate.failures.errors import BadRequest


def followed(conversation: Conversation) -> Conversation:
    """Returns the conversation with words where it points to some. Raises BadRequest where they are not here."""
    if not any(map(_speech, conversation.turns)):
        return conversation
    return replace(conversation, turns=list(map(_in_words, conversation.turns)))


def _speech(turn: Turn) -> bool:
    return turn.role == "assistant" and isinstance(turn.ext.get("chat", {}).get("audio"), dict)


def _in_words(turn: Turn) -> Turn:
    if not _speech(turn) or any(isinstance(part, Text) for part in turn.parts):
        return turn
    audio = turn.ext["chat"]["audio"]
    transcript = audio.get("transcript")
    if not isinstance(transcript, str) or not transcript:
        id = str(audio.get("id"))[:100]
        raise BadRequest(
            f"messages: audio '{id}' is an answer in speech that another upstream has kept; send its transcript as the "
            "content of that message",
            "messages",
        )
    return replace(turn, parts=[Text(transcript), *turn.parts])
