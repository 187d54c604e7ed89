"""A Messages request less the thinking and the searches that Anthropic never signed, and summaries of ours in words."""

from __future__ import annotations

from typing import Any

from translate import compaction
from translate.json.json_fields import Body, objects_of
from translate.messages.words import WORDS
from translate.reasoning import sealed_reasoning
from translate.tools import websearch


def without(body: Body) -> list[str]:
    """Takes out what is sealed, and names it. A turn of nothing else goes as a whole: Anthropic refuses empty ones, and
    takes two of one role in a row."""
    messages = objects_of(body, "messages")
    found = searched = False
    for message in messages:
        content = message.get("content")
        if not isinstance(content, list):
            continue
        kept = [block for block in content if not _is_sealed_block(block)]
        if len(kept) < len(content):
            found = True
            message["content"] = kept
        if (unmarked := websearch.unmarked(kept)) is not kept:
            searched = True
            message["content"] = unmarked
    if not found and not searched:
        return []
    body["messages"] = [each for each in body["messages"] if not (isinstance(each, dict) and each.get("content") == [])]
    dropped = [WORDS.thoughts] if found else []
    if found and _must_have_begun_thinking(body):
        dropped += _without_thinking(body)
    return dropped + (["web_search_tool_result"] if searched else [])


def _is_sealed_block(block: Any) -> bool:
    if not isinstance(block, dict):
        return False
    return (block.get("type") == "thinking" and sealed_reasoning.is_seal(block.get("signature"))) or (
        block.get("type") == "redacted_thinking" and sealed_reasoning.is_seal(block.get("data"))
    )


def _must_have_begun_thinking(body: Body) -> bool:
    """Tells whether Anthropic would miss the thinking: with a budget for it, the turn whose tool results are due must
    begin with some."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return False
    turns = [message for message in objects_of(body, "messages") if message.get("role") == "assistant"]
    blocks = objects_of(turns[-1], "content") if turns else []
    return any(block.get("type") == "tool_use" for block in blocks) and "thinking" not in str(blocks[0].get("type"))


def _without_thinking(body: Body) -> list[str]:
    """Takes thinking out of the request, and its edits of the context: Anthropic refuses those about thinking where
    there is none."""
    del body["thinking"]
    dropped = ["thinking"]
    management = body.get("context_management")
    if isinstance(management, dict) and isinstance(edits := management.get("edits"), list):
        kept = [edit for edit in edits if "thinking" not in str(edit.get("type") if isinstance(edit, dict) else "")]
        if len(kept) < len(edits):
            dropped.append("context_management")
            management["edits"] = kept
            if not kept:
                del body["context_management"]
    return dropped


def summaries_in_words(body: Body) -> bool:
    """Puts the last summary of ours into words. What stands before it goes, since the summary holds it."""
    messages = body.get("messages")
    given = messages if isinstance(messages, list) else []
    for at in reversed(range(len(given))):
        blocks = given[at].get("content") if isinstance(given[at], dict) else None
        listed = blocks if isinstance(blocks, list) else []
        if ours := [place for place, block in enumerate(listed) if _is_ours(block)]:
            text = {"type": "text", "text": compaction.as_text(str(listed[ours[-1]].get("content")))}
            rest = [given[at] | {"content": said}] if (said := listed[ours[-1] + 1 :]) else []
            body["messages"] = [{"role": "user", "content": [text]}, *rest, *given[at + 1 :]]
            return True
    return False


def _is_ours(block: Any) -> bool:
    return (
        isinstance(block, dict)
        and block.get("type") == "compaction"
        and sealed_reasoning.is_of_summary(block.get("signature"))
    )
