"""Neutral turns as Chat messages, in the shape that the pickiest servers and templates take.

One system message at the head; strings where all is text; user and assistant taking turns, so that
neighbours of one role become one message; tool messages right after the assistant's, their images in a user
message after them; null instead of "" beside tool calls. A conversation that came from Chat keeps its
messages one by one.
"""

from __future__ import annotations

import itertools
from typing import Any

from msgspec.structs import replace

from translate import repair
from translate.chat import call_ids, details, extras, mistral
from translate.chat.encode_parts import content, flat, is_private
from translate.conversation import (
    Conversation,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Unknown,
)
from translate.encode_context import Draft
from translate.failures.errors import BadRequest
from translate.fields.leftovers import BREAKPOINT, breakpoint_of
from translate.json.json_fields import Body
from translate.parts import citations, readable, readable_parts
from translate.tools.pairing import paired

NO_THOUGHT = " "
"""What stands for a thought that another model never had, or a client has not kept. DeepSeek and Kimi answer 400 to a
call without one while they think, and Kimi to an empty one."""

_FIELDS = ("reasoning_content", "reasoning")


def messages(conversation: Conversation, draft: Draft) -> list[Body]:
    """Returns the whole list. Raises BadRequest for what cannot cross and must not be lost."""
    out = _system(conversation.system, draft)
    if draft.home:
        for turn in conversation.turns:
            out += _as_it_was(turn, draft)
        return out
    others: list[Turn] = []  # that follow one another: results, instructions, the user's own words
    turns = paired(readable_parts.turns(conversation.turns, draft.drop), call_ids.shown(draft))
    for turn in call_ids.fitted(turns, draft):
        if turn.role != "assistant":
            others.append(turn)
        elif message := draft.of(turn, _assistant):  # one that says nothing does not come between the user's
            out += _between(others, draft)
            others = []
            _append(out, message)
    out += _between(others, draft)
    if not out:
        raise BadRequest(f"{draft.words.history}: nothing in them can be sent to this model's upstream")
    return mistral.in_order(out) if mistral.is_model(draft.target.model) else out


# -------------------------------------------------------------------------------------------------- system


def _system(parts: list[Part], draft: Draft) -> list[Body]:
    role = "developer" if draft.policy.developer_role else "system"
    if parts and parts[0].ext and all("message" in part.ext.get("chat.form", {}) for part in parts):
        return [
            _restored(list(group))
            for _, group in itertools.groupby(parts, lambda part: part.ext["chat.form"]["message"])
        ]
    texts = [text for part in parts if (text := _words(part, draft))]
    return [{"role": role, "content": "\n\n".join(texts)}] if texts else []


def _restored(parts: list[Part]) -> Body:
    form = parts[0].ext["chat.form"]
    body = [{"type": "text", "text": part.text, **part.ext.get("chat", {})} for part in parts if isinstance(part, Text)]
    return {**form["fields"], "content": body if form.get("parts") else body[0]["text"]}


def _words(part: Part, draft: Draft) -> str:
    if type(part) is Text and not part.ext and not part.citations:
        return part.text
    draft.leave_part(part)
    if breakpoint_of(part.ext):
        draft.drop(BREAKPOINT)
    return part.text if isinstance(part, Text) else draft.in_words(part)


# --------------------------------------------------------------------------------------------------- users


def _between(turns: list[Turn], draft: Draft) -> list[Body]:
    return draft.of(turns[0], _user) if len(turns) == 1 and turns[0].known is not None else _users(turns, draft)


def _user(turn: Turn, draft: Draft) -> list[Body]:
    return _users([turn], draft)


def _users(turns: list[Turn], draft: Draft) -> list[Body]:
    """Returns the tool results first, then one user message: what the results carry, instructions, the user's words."""
    results: list[Body] = []
    carried: list[Body] = []
    said: list[Body] = []
    for turn in turns:
        draft.leave(turn.ext)
        if turn.role == "system":
            texts = [text for part in turn.parts if (text := _words(part, draft))]
            if texts:
                said.append({"type": "text", "text": readable.REMINDER.format("\n\n".join(texts))})
            continue
        for part in turn.parts:
            if isinstance(part, ToolResult):
                message, media = _result(part, draft)
                results.append(message)
                carried += media
            else:
                said += content(part, draft)
    body = carried + said
    return [*results, {"role": "user", "content": flat(body)}] if body else results


def _result(result: ToolResult, draft: Draft) -> tuple[Body, list[Body]]:
    """Returns the tool message, and what only a user message may hold: its text says that it follows."""
    draft.leave(result.ext)
    texts: list[str] = []
    media: list[Body] = []
    mark: Body = {}
    for part in result.parts:
        for body in content(part, draft):
            if body["type"] == "text":
                texts.append(body["text"])
                mark = {BREAKPOINT: body[BREAKPOINT]} if BREAKPOINT in body else mark
            else:
                kind = "image" if body["type"] == "image_url" else "file"
                texts.append(readable.SEE_NEXT.format(kind))
                media.append(body)
    text = "\n".join(texts)
    if result.is_error:
        text = readable.failed(text)
    id = call_ids.sent(result.id, draft)
    if media:
        media.insert(0, {"type": "text", "text": readable.OUTPUT_OF.format(id)})
    text = text or readable.NO_OUTPUT
    said: str | list[Body] = [{"type": "text", "text": text} | mark] if mark else text
    return {"role": "tool", "tool_call_id": id, "content": said}, media


# ----------------------------------------------------------------------------------------------- assistant


def _assistant(turn: Turn, draft: Draft) -> Body | None:
    texts: list[str] = []
    calls: list[Body] = []
    draft.leave(turn.ext)
    beside: Body = {}  # what goes with the next call
    of_message: Body = {}
    in_pieces = citations.are_pieces(turn.parts)
    before: Part | None = None
    for part in turn.parts:
        draft.leave_part(part)
        goes_on = in_pieces and isinstance(before, Text) and isinstance(part, Text)
        before = part
        if isinstance(part, ToolCall):
            calls.append(_call(part, draft) | beside)
            beside = {}
        elif found := extras.opened_for(part, draft.target):
            what, extra = found
            if what == extras.OF_MESSAGE:
                of_message = {"extra_content": extra}
            else:
                beside = extras.beside_call(extras.OF_CALL if draft.policy.tool_schema == "gemini" else what, extra)
        elif isinstance(part, Text | Refusal):
            texts.append(texts.pop() + part.text if goes_on else part.text)
            if part.ext and breakpoint_of(part.ext):
                draft.drop(BREAKPOINT)
        elif isinstance(part, Unknown):
            if text := draft.in_words(part):
                texts.append(text)
        elif not isinstance(part, Thinking):
            texts += [body["text"] for body in content(part, draft) if body["type"] == "text"]
    text = "\n\n".join(text for text in texts if text)
    message: Body = {"role": "assistant", "content": text or None}
    _reason(message, turn, bool(calls), draft)
    if calls:
        if not any("extra_content" in call for call in calls):
            calls[0] |= extras.unsigned(draft.target)
        message["tool_calls"] = calls
    elif not message["content"]:  # servers refuse a message that is nothing but a thought
        if len(message) > 2:
            draft.drop(draft.words.thoughts)
        return None
    field = draft.policy.reasoning
    if field in _FIELDS and field not in message and _is_demanded(bool(calls), draft):
        message[field] = NO_THOUGHT
    return message | of_message


def _is_demanded(has_calls: bool, draft: Draft) -> bool:
    """Tells whether a model that thinks is refused a message of its own without a thought."""
    history = draft.policy.reasoning_history
    return history == "always" or (history == "tool_calls" and has_calls)


def _reason(message: Body, turn: Turn, has_calls: bool, draft: Draft) -> None:
    """Adds reasoning to the message where the upstream asks for it: some need it beside calls, some refuse it."""
    policy = draft.policy
    parts = [part for part in turn.parts if isinstance(part, Thinking)]
    parts = [part for part in parts if not extras.opened_for(part, draft.target)]  # those have a place of their own
    goes_back = policy.reasoning_history in ("true", "always") or _is_demanded(has_calls, draft)
    goes_back = goes_back or (draft.home and policy.reasoning != "think_tags")  # the client itself sent it
    proved = details.to_copilot(parts) if parts else {}
    if proved and policy.proofs:
        message |= proved
        return
    thoughts = [details.own(part) for part in parts]
    entries = [entry for i, part in enumerate(thoughts) if (entry := details.restore(part, i))]
    proofs = details.fields(entries)
    blocks = proofs.pop(details.BLOCKS, None)
    if blocks and policy.proofs:  # who gave them wants them back
        message[details.BLOCKS] = blocks
    elif blocks or proved:
        draft.drop(draft.words.thoughts)
    if not goes_back or policy.reasoning == "none":
        if len(parts) > len(message.get(details.BLOCKS, ())):
            draft.drop(draft.words.thoughts)
        return
    text = ("" if draft.home else "\n\n").join(part.text for part in thoughts if part.text)
    if policy.reasoning == "think_tags":
        if text:
            message["content"] = f"<think>\n{text}\n</think>\n\n{message['content'] or ''}".rstrip()
        return
    if text:
        message[policy.reasoning] = text
    message |= proofs


def _call(call: ToolCall, draft: Draft) -> Body:
    function = {"name": draft.name(call.name), "arguments": repair.arguments(call.arguments)}
    return {"id": call_ids.sent(call.id, draft), "type": "function", "function": function}


def _append(out: list[Body], message: Body) -> None:
    """Adds a message. Two assistant messages in a row become one, unless the first one waits for its tool results."""
    last = out[-1] if out else None
    if last is None or last["role"] != "assistant" or "tool_calls" in last:
        out.append(message)
        return
    texts = [text for text in (last["content"], message["content"]) if text]
    thoughts = {field: _thought(last, message, field) for field in _FIELDS if field in last}
    out[-1] = last | message | {"content": "\n\n".join(texts) or None} | thoughts
    if entries := _details(last, message):
        out[-1]["reasoning_details"] = entries
    if details.BLOCKS in last and details.BLOCKS in message:
        out[-1][details.BLOCKS] = last[details.BLOCKS] + message[details.BLOCKS]


def _thought(first: Body, second: Body, field: str) -> str:
    """Returns what was thought before both messages, a blank only where nothing was."""
    thoughts = [said[field] for said in (first, second) if said.get(field, NO_THOUGHT) != NO_THOUGHT]
    return "\n\n".join(thoughts) or NO_THOUGHT


def _details(first: Body, second: Body) -> list[Body]:
    """Returns the entries of both messages, each counted once."""
    earlier: list[Body] = first.get("reasoning_details", [])
    later: list[Body] = second.get("reasoning_details", [])
    if not earlier or not later:
        return earlier or later
    return [entry | ({"index": i} if "index" in entry else {}) for i, entry in enumerate([*earlier, *later])]


# ---------------------------------------------------------------------------------------- from Chat itself


def _as_it_was(turn: Turn, draft: Draft) -> list[Body]:
    """Returns the messages of a turn that came from Chat, as they were written."""
    extra = turn.ext.get("chat", {})
    if turn.role == "assistant":
        return [_assistant_as_it_was(turn, draft, extra)]
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    if results:
        return [_result_as_it_was(part, draft) for part in results]
    role = extra.get("role", turn.role)
    return [{"role": role, "content": _body(turn.parts, turn.ext.get("chat.form", {}), draft), **extra}]


def _body(parts: list[Part], form: dict[str, Any], draft: Draft) -> Any:
    pieces = [body for part in parts if not is_private(part) for body in content(part, draft)]
    return pieces if form.get("parts") else flat(pieces)


def _result_as_it_was(result: ToolResult, draft: Draft) -> Body:
    extra = result.ext.get("chat", {})
    form = result.ext.get("chat.form", {})
    content = _body(_failed(result.parts) if result.is_error else result.parts, form, draft)
    if form.get("legacy"):
        return {"role": "function", "content": content, **extra}
    return {"role": "tool", "tool_call_id": result.id, "content": content, **extra}


def _failed(parts: list[Part]) -> list[Part]:
    """Returns the output of a tool that a block of Messages says has failed."""
    first, rest = (parts[0], parts[1:]) if parts and isinstance(parts[0], Text) else (Text(""), parts)
    return [replace(first, text=readable.failed(first.text)), *rest]


def _assistant_as_it_was(turn: Turn, draft: Draft, extra: dict[str, Any]) -> Body:
    form = turn.ext.get("chat.form", {})
    message: Body = {"role": "assistant", "content": _body(turn.parts, form, draft) or None}
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    _reason(message, turn, bool(calls), draft)
    if not form.get("reasoning"):  # the client had it in reasoning_details alone
        message.pop(draft.policy.reasoning, None)
    if not form.get("parts") and (refusal := "".join(p.text for p in turn.parts if isinstance(p, Refusal))):
        message["refusal"] = refusal
    for call in calls:
        if call.ext.get("chat.form", {}).get("legacy"):
            message["function_call"] = {"name": call.name, "arguments": call.arguments}
        else:
            message.setdefault("tool_calls", []).append(_call_as_it_was(call))
    return message | extra


def _call_as_it_was(call: ToolCall) -> Body:
    if call.custom:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "type": "custom", "custom": custom, **call.ext.get("chat", {})}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **call.ext.get("chat", {})}
