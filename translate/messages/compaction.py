"""Compaction in Messages: how a client asks for a summary, and the block that is one."""

from __future__ import annotations

from msgspec.structs import replace

from translate.compaction import USUAL_TRIGGER, Compaction, Wish
from translate.conversation import Conversation, Unknown
from translate.failures.errors import BadRequest
from translate.json.json_fields import Body, is_number, object_of, objects_of, text_of
from translate.reasoning import sealed_reasoning
from translate.target import Asked


def wished(conversation: Conversation) -> tuple[Conversation, Wish | None]:
    left = conversation.ext.get("messages", {})
    if "compaction" not in left and "context_management" not in left:
        return conversation, None
    wish, rest = _of_fields(left)
    return replace(conversation, ext=conversation.ext | {"messages": rest}), wish


def _of_fields(left: Body) -> tuple[Wish | None, Body]:
    """Reads the fields of Messages: a request of its own, or an edit for when the conversation has grown long."""
    edits = objects_of(object_of(left, "context_management"), "edits")
    compacting = [edit for edit in edits if str(edit.get("type")).startswith("compact_")]
    said = left.get("compaction")
    if said is not None:
        if not isinstance(said, dict) or said.get("type") != "summarize":
            raise BadRequest("compaction.type: Input should be 'summarize'")
        if compacting:
            raise BadRequest("compaction: cannot be combined with a compaction edit in context_management")
        return Wish(text_of(said, "instructions")), {key: left[key] for key in left if key != "compaction"}
    rest = {key: left[key] for key in left if key != "compaction"}
    if not compacting:
        return None, rest
    others = [edit for edit in edits if edit not in compacting]
    if others:
        rest["context_management"] = left["context_management"] | {"edits": others}
    else:
        del rest["context_management"]
    edit = compacting[-1]
    trigger = edit.get("trigger")
    at = trigger.get("value") if isinstance(trigger, dict) else None
    goes_on = edit.get("pause_after_compaction") is not True
    at = int(at) if is_number(at) else USUAL_TRIGGER
    return Wish(text_of(edit, "instructions"), adds=True, at=at, goes_on=goes_on), rest


def reply_part(text: str, asked: Asked) -> Unknown:
    """Returns the block. One without content says that the compaction failed."""
    block: Body = {"type": "compaction", "content": text or None}
    if text:
        block["signature"] = sealed_reasoning.SUMMARY
        if asked.tool_changes:
            block["tool_changes"] = list(asked.tool_changes)
    return Unknown("messages", block)


COMPACTION = Compaction(wished, reply_part, answers_calls=True)
