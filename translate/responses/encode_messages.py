"""Neutral turns as Responses input items.

A turn becomes several items: each run of text one message, each call, result and thought an item of its own, in the
order in which they stood. Reasoning goes back only to the provider that wrote it, opened from its seal; another
provider's only as plain text, where the upstream's policy asks for it. A conversation that came from Responses keeps
its items one by one.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Iterable
from typing import Any

from translate import repair
from translate.conversation import Conversation, Part, Refusal, Text, Thinking, ToolCall, ToolResult, Turn, Unknown
from translate.encode_context import Draft
from translate.fields.leftovers import BREAKPOINT, breakpoint_of
from translate.json.json_fields import Body
from translate.parts import citations, readable, readable_parts
from translate.reasoning import sealed_reasoning
from translate.responses.encode_parts import content, own
from translate.tools import websearch
from translate.tools.pairing import paired

_OF_MESSAGE = ("id", "status", "phase")
_CALLS = ("function_call", "custom_tool_call")  # the client runs these, so that the turn goes on after them
_KNOW_PHASES = re.compile(r"gpt-5[.-]3-codex|gpt-(?:5[.-][4-9]|[6-9]|[12]\d)(?!\d)", re.I)


def items(conversation: Conversation, draft: Draft) -> list[Body]:
    """Returns the input, never empty but for an empty conversation. Raises BadRequest for what must not be lost."""
    turns = conversation.turns
    if not draft.home:
        turns = paired(readable_parts.turns(turns, draft.drop), draft.shown)
    customs = {
        part.id for turn in turns for part in turn.parts if isinstance(part, ToolCall) and part.custom
    }  # results of custom calls have a type of their own
    out = _leading(conversation.system, draft)
    for turn, after in itertools.zip_longest(turns, turns[1:]):
        draft.leave(turn.ext)
        if turn.role == "assistant":
            goes_on = after is not None and after.role == "assistant"
            out += draft.of(turn, _going_on if goes_on else _assistant)
        elif customs:
            out += _others(turn, draft, customs)
        else:
            out += draft.of(turn, _others)
    return out


def instructions(system: list[Part], draft: Draft) -> str:
    """Returns the system's text as `instructions`; of a Responses client what stood there."""
    if draft.home:
        system = [part for part in system if part.ext.get("responses.form", {}).get("instructions")]
    else:
        system = readable_parts.system(system)
    texts = []
    for part in system:
        draft.leave_part(part)
        if breakpoint_of(part.ext):
            draft.drop(BREAKPOINT)
        texts.append(part.text if isinstance(part, Text) else draft.in_words(part))
    return "\n\n".join(text for text in texts if text)


def _leading(system: list[Part], draft: Draft) -> list[Body]:
    """Returns the messages at the head that a Responses client gave its instructions in."""
    if not draft.home:
        return []
    parts = [part for part in system if not part.ext.get("responses.form", {}).get("instructions")]
    return [_message(list(run), draft) for run in _messages(parts)]


def _messages(parts: list[Part]) -> Iterable[Iterable[Part]]:
    """Yields runs of parts that were one message."""
    for _, run in itertools.groupby(parts, lambda part: part.ext.get("responses.form", {}).get("message")):
        yield run


def _message(parts: list[Part], draft: Draft, role: str = "user", left: Body | None = None) -> Body:
    """Returns a message that is not the model's."""
    if draft.home:
        role = parts[0].ext.get("responses.form", {}).get("role", role)
        left = left or {key: value for part in parts for key, value in part.ext.get("responses", {}).items()
                        if key in _OF_MESSAGE}  # fmt: skip
    pieces = [piece for part in parts for piece in content(part, draft)]
    return {"type": "message", "role": role, "content": pieces} | (left or {})


# ---------------------------------------------------------------------------------- user and system turns


def _others(turn: Turn, draft: Draft, customs: Collection[str] = ()) -> list[Body]:
    """Returns the outputs first, then what was said beside them. customs: the ids of custom tools' calls."""
    out: list[Body] = []
    said: list[Part] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            out.append(_result(part, part.id in customs, draft))
        elif isinstance(part, Unknown) and part.protocol == "responses" and "responses.form" not in part.ext:
            out.append(part.raw)
        else:
            said.append(part)
    role = "user"
    if turn.role == "system":
        role = "developer" if draft.policy.developer_role else "system"
    left = turn.ext.get("responses", {})
    messages = [_message(said, draft, role, left)] if said else []
    return out + [message for message in messages if message["content"]]


def _result(result: ToolResult, custom: bool, draft: Draft) -> Body:
    draft.leave(result.ext)
    pieces = [piece for part in result.parts for piece in content(part, draft)]
    output: str | list[Body] = pieces
    if all(piece["type"] == "input_text" and len(piece) == 2 for piece in pieces):  # some servers take only a string
        output = "\n".join(piece["text"] for piece in pieces)
        if result.is_error:
            output = readable.failed(output)
    elif result.is_error:
        output = [{"type": "input_text", "text": "Error:"}, *pieces]
    if not output and not draft.home:
        output = readable.NO_OUTPUT
    if not draft.policy.rebuild:  # there, its call has become a function's
        custom = result.ext.get("responses.form", {}).get("custom", False) if draft.home else custom
    kind = "custom_tool_call_output" if custom else "function_call_output"
    return {"type": kind, "call_id": draft.call_id(result.id), "output": output} | result.ext.get("responses", {})


# --------------------------------------------------------------------------------------------- assistant turns


def _going_on(turn: Turn, draft: Draft) -> list[Body]:
    """Writes a turn after which the model goes on."""
    return _assistant(turn, draft, goes_on=True)


def _assistant(turn: Turn, draft: Draft, *, goes_on: bool = False) -> list[Body]:
    out: list[Body] = []
    for (kind, _), run in itertools.groupby(turn.parts, _run):
        parts = list(run)
        if kind == "message":
            if pieces := [piece for part in parts for piece in _spoken(part, draft)]:
                left = parts[0].ext.get("responses", {})
                of_message = {key: left[key] for key in _OF_MESSAGE if key in left}
                if "id" not in of_message and (not draft.home or draft.policy.rebuild):
                    for part in parts:
                        if part.ext and breakpoint_of(part.ext):
                            draft.drop(BREAKPOINT)
                    out.append(_said(pieces, parts, of_message))
                else:
                    whole: Body = {"annotations": []} if draft.policy.rebuild else {}  # the type has it as required
                    pieces = [whole | piece if piece["type"] == "output_text" else piece for piece in pieces]
                    out.append({"type": "message", "role": "assistant", "content": pieces} | of_message)
        else:
            out += [item for part in parts if (item := _item(part, draft))]
    if draft.home:
        return out
    while out and out[-1]["type"] == "reasoning":
        out.pop()  # OpenAI refuses reasoning without the item that it led to
    if know_phases(draft.target.model):
        _label(out, goes_on=goes_on)
    return out


def know_phases(model: str) -> bool:
    """Tells whether it labels what it says as its answer, or as words on the way there. OpenAI's models do since
    GPT-5.3-Codex, and want the labels back: without them they take an earlier "Let me look." for the end of the work,
    and stop early."""
    return _KNOW_PHASES.search(model) is not None and "chat" not in model


def _label(turn: list[Body], *, goes_on: bool) -> None:
    """Labels the messages of one turn. No other protocol has a place for the labels, but where a message stands tells
    them: who goes on to a call has not answered yet. goes_on: another turn of the model's follows."""
    goes_on = goes_on or any(item["type"] in _CALLS for item in turn)
    for item in turn:
        if item["type"] == "message":
            item["phase"] = "commentary" if goes_on or item is not turn[-1] else "final_answer"


def _said(pieces: list[Body], parts: list[Part], of_message: Body) -> Body:
    """Returns a message of the model's as one string: without an id, the protocol has no list of what the model
    said."""
    between = "" if citations.are_pieces(parts) else "\n\n"
    text = between.join(piece.get("text") or piece.get("refusal") or "" for piece in pieces)
    phase = {"phase": of_message["phase"]} if "phase" in of_message else {}
    return {"type": "message", "role": "assistant", "content": text} | phase


def _run(part: Part) -> tuple[str, Any]:
    """Returns which item a part belongs to: parts of one message share one."""
    if isinstance(part, ToolCall | Thinking) or (isinstance(part, Unknown) and "responses.form" not in part.ext):
        return "item", None
    return "message", part.ext.get("responses.form", {}).get("message")


def _spoken(part: Part, draft: Draft) -> list[Body]:
    """Returns what the model said, as content of its message."""
    draft.leave_part(part)
    if isinstance(part, Text):
        return [{"type": "output_text", "text": part.text} | own(part)]
    if isinstance(part, Refusal):
        return [{"type": "refusal", "refusal": part.text} | own(part)]
    texts = [piece.get("text", "") for piece in content(part, draft)]
    return [{"type": "output_text", "text": text} for text in texts if text]


def _item(part: Part, draft: Draft) -> Body | None:
    if isinstance(part, ToolCall):
        draft.leave_part(part)
        return _call(part, draft)
    if isinstance(part, Thinking):
        return _reasoning(part, draft)
    if isinstance(part, Unknown):
        if part.protocol == "responses":
            return part.raw
        if draft.searches and websearch.is_call(part.raw):
            return websearch.item(part.raw, None, _made_id("ws", str(part.raw.get("id"))))
        if text := draft.in_words(part):
            return {"type": "message", "role": "assistant", "content": text}
    return None


def _call(call: ToolCall, draft: Draft) -> Body:
    head: Body = {"call_id": draft.call_id(call.id), "name": draft.name(call.name)}
    if call.namespace:
        head["namespace"] = call.namespace
    head |= call.ext.get("responses", {})
    if call.custom:
        return {"type": "custom_tool_call", **head, "input": call.arguments}
    arguments = call.arguments if draft.home else repair.arguments(call.arguments)
    return {"type": "function_call", **head, "arguments": arguments}


def _reasoning(part: Thinking, draft: Draft) -> Body | None:
    raw = part.ext.get("responses.form", {}).get("raw", {})
    if draft.home and raw and not sealed_reasoning.is_seal(raw.get("encrypted_content")):
        return dict(raw)
    if said := sealed_reasoning.item_in(part.signature) or sealed_reasoning.item_in(part.encrypted):
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        encrypted = said.get("encrypted_content", "")
        id = said.get("id") or _made_id("rs", encrypted)
        return {"type": "reasoning", "id": id, "summary": summary, "encrypted_content": encrypted}
    if part.text and draft.policy.reasoning_history != "false":
        content = [{"type": "reasoning_text", "text": part.text}]
        return {"type": "reasoning", "id": _made_id("rs", part.text), "summary": [], "content": content}
    draft.drop(draft.words.thoughts)
    return None


def _made_id(prefix: str, said: str) -> str:
    """Makes an id, which the protocol wants these items to have. The same thing has the same id in every turn."""
    return f"{prefix}_" + hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]
