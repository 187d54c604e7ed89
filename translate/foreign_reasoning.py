"""A request that goes to its upstream as it came, less the thinking that this upstream cannot take for its own. A
summary of the conversation that this proxy had written (see compaction.py) is told in words.

A session may change its upstream. What another provider signed, the client has under a seal of ours (see
sealed_reasoning.py), and it goes on saying it; its new upstream, which speaks the client's own protocol, would answer
400 to a signature that it never gave. So thinking under a seal is left out, and only there is a body parsed and written
anew: whoever calls has asked seal.may_be_in first, and without a seal in the places where proofs stand the body stays
what it was.
"""

from __future__ import annotations

from typing import Any

from translate import compaction, leftovers, sealed_reasoning, websearch, wire
from translate.target import Protocol

Body = dict[str, Any]


def request(protocol: Protocol, raw: bytes) -> tuple[bytes, list[str]]:
    """The body to send, and the names of the fields that are left out of it. A body that cannot be read stays as it is:
    the upstream says why."""
    try:
        body = wire.loads(raw)
    except ValueError:
        return raw, []
    if not isinstance(body, dict):
        return raw, []
    told = _TOLD[protocol](body) if protocol in _TOLD else False
    dropped = _LESS[protocol](body)
    return (wire.dumps(body), dropped) if dropped or told else (raw, [])


def _messages(body: Body) -> list[str]:
    """A turn of nothing else goes as a whole: Anthropic refuses empty ones, and takes two of one role in a row."""
    messages = _objects(body, "messages")
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
    dropped = [leftovers.THOUGHTS["messages"]] if found else []
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
    """With a budget for thinking, the turn whose tool results are due must begin with some."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled":
        return False
    turns = [message for message in _objects(body, "messages") if message.get("role") == "assistant"]
    blocks = _objects(turns[-1], "content") if turns else []
    return any(block.get("type") == "tool_use" for block in blocks) and "thinking" not in str(blocks[0].get("type"))


def _without_thinking(body: Body) -> list[str]:
    """Its edits of the context go along: Anthropic refuses those about thinking where there is none."""
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


def _chat(body: Body) -> list[str]:
    """The words (reasoning_content) are no proof, and stay."""
    found = False
    for message in _objects(body, "messages"):
        details = message.get("reasoning_details")
        if isinstance(details, list):
            kept = [each for each in details if not _is_sealed_detail(each)]
            if len(kept) < len(details):
                found = True
                message["reasoning_details"] = kept
                if not kept:
                    del message["reasoning_details"]
    return ["messages.reasoning_details"] if found else []


def _is_sealed_detail(detail: Any) -> bool:
    return isinstance(detail, dict) and (
        sealed_reasoning.is_seal(detail.get("signature")) or sealed_reasoning.is_seal(detail.get("data"))
    )


def _responses(body: Body) -> list[str]:
    """The whole item: its id is one that the upstream would look for in vain."""
    items = body.get("input")
    if not isinstance(items, list):
        return []
    kept = [
        item
        for item in items
        if not (isinstance(item, dict) and sealed_reasoning.is_seal(item.get("encrypted_content")))
    ]
    if len(kept) == len(items):
        return []
    body["input"] = kept
    return [leftovers.THOUGHTS["responses"]]


def _messages_told(body: Body) -> bool:
    """What stands before the last summary is in it."""
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


def _responses_told(body: Body) -> bool:
    items = body.get("input")
    if not isinstance(items, list):
        return False
    told = [_item_told(item) for item in items]
    body["input"] = told
    return told != items


def _item_told(item: Any) -> Any:
    summary = sealed_reasoning.summary_in(item.get("encrypted_content")) if isinstance(item, dict) else ""
    if not summary:
        return item
    text = {"type": "input_text", "text": compaction.as_text(summary)}
    return {"type": "message", "role": "user", "content": [text]}


_LESS = {"messages": _messages, "chat": _chat, "responses": _responses}
_TOLD = {"messages": _messages_told, "responses": _responses_told}


def _objects(body: Body, key: str) -> list[Body]:
    value = body.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
