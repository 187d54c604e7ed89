"""Compaction in Responses: how a client asks for a summary, and the item that is one."""

from __future__ import annotations

from msgspec.structs import replace

from translate.compaction import KINDS, Compaction, Wish
from translate.conversation import Conversation, Part, Turn, Unknown
from translate.json.json_fields import Body, is_number
from translate.reasoning import sealed_reasoning
from translate.target import Asked

TRIGGER = "compaction_trigger"


def wished(conversation: Conversation) -> tuple[Conversation, Wish | None]:
    if any(map(_has_trigger, conversation.turns)):
        return _triggered(conversation)
    left = conversation.ext.get("responses", {})
    wish, rest = _of_thresholds(left) if "context_management" in left else (None, left)
    return replace(conversation, ext=conversation.ext | {"responses": rest}) if rest is not left else conversation, wish


def _of_thresholds(left: Body) -> tuple[Wish | None, Body]:
    """Reads the thresholds of Responses: when the conversation has grown long."""
    given = left["context_management"]
    entries = [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []
    bounds = [entry.get("compact_threshold") for entry in entries if entry.get("type") == "compaction"]
    known = [int(bound) for bound in bounds if is_number(bound)]
    if not known or len(bounds) < len(entries):
        return None, left
    rest = {key: left[key] for key in left if key != "context_management"}
    return Wish(at=min(known), goes_on=True), rest


def _has_trigger(turn: Turn) -> bool:
    return any(map(_is_trigger, turn.parts))


def _is_trigger(part: Part) -> bool:
    return isinstance(part, Unknown) and part.kind == TRIGGER


def _triggered(conversation: Conversation) -> tuple[Conversation, Wish | None]:
    """Returns the conversation without its triggers, and the wish. A trigger of an earlier request has its compaction
    after it."""
    open_ = False
    turns: list[Turn] = []
    for turn in conversation.turns:
        for part in turn.parts:
            open_ = _is_trigger(part) or (open_ and not (isinstance(part, Unknown) and part.kind in KINDS))
        if parts := [part for part in turn.parts if not _is_trigger(part)]:
            turns.append(turn if len(parts) == len(turn.parts) else replace(turn, parts=parts))
    return replace(conversation, turns=turns), Wish() if open_ else None


def reply_part(text: str, asked: Asked) -> Unknown | None:
    if not text:
        return None
    sealed = sealed_reasoning.of_summary(text)
    return Unknown("responses", {"id": f"cmp_{asked.key}_0", "type": "compaction", "encrypted_content": sealed})


COMPACTION = Compaction(wished, reply_part, keeps_users=True)
