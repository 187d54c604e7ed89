"""Requests: Conversation -> a body for an upstream that speaks Messages.

A conversation that came from Messages (ext["messages"] is there) is written back as it was. Any other is made
to fit: max_tokens is always given, sampling is brought into Anthropic's range, tools and tool_choice are
respelt, and every field that did not cross is named in Encoded.dropped in the client's words. The
conversation is only read: a retry encodes the same one again for another target.
"""

from __future__ import annotations

import hashlib
import re

from translate.conversation import Conversation, Tool
from translate.encode_context import Draft
from translate.fields import leftovers
from translate.json import wire
from translate.json.json_fields import Body
from translate.messages import cache_marks, forced_tools, sampling, thinking
from translate.messages.encode_messages import blocks, messages
from translate.parts import readable_parts
from translate.target import Encoded, Target
from translate.tools import json_mode, websearch
from translate.tools.bridge import Bridged

MAX_USER_ID = 256
SEARCHERS = websearch.Searchers("messages", re.compile(r"claude", re.I))


def encode(conversation: Conversation, target: Target) -> Encoded:
    """Returns the body for `target`. Raises BadRequest for what cannot cross and must not be lost."""
    bridged = Bridged(conversation)
    conversation = bridged.conversation
    draft = Draft(conversation, target, "messages", "cache")
    body: Body = {"model": target.model, "max_tokens": _max_tokens(conversation, target)}
    if system := _system(conversation, draft):
        body["system"] = system
    body["messages"] = messages(conversation.turns, draft)
    _tools(body, conversation, target, draft)
    if draft.home:
        _as_it_was(body, conversation)
    else:
        _made_to_fit(body, conversation, target, draft)
        if cache_marks.cap(body):
            draft.drop(leftovers.CACHE_CONTROL)
    if conversation.stream or target.policy.only_streams:
        body["stream"] = True
    encoded = Encoded(body, draft.dropped, draft.tool_names, bridged.custom, bridged.namespaces, recurs=draft.recurs)
    if target.policy.cache_marks and not draft.home:
        encoded.cache_marks = cache_marks.mark(body)
    return encoded


def _max_tokens(conversation: Conversation, target: Target) -> int:
    wanted = conversation.max_tokens or thinking.default_max_tokens(target.model)
    clamp = target.policy.max_tokens
    return min(wanted, clamp) if clamp else wanted


def _system(conversation: Conversation, draft: Draft) -> str | list[Body]:
    system = conversation.system
    if wants_json := json_mode.is_wanted(conversation):
        system = json_mode.others(system)
    said = blocks(system if draft.home else readable_parts.system(system), draft)
    if wants_json:
        said.append({"type": "text", "text": json_mode.ONE_OBJECT})
    if len(said) == 1 and said[0].keys() == {"type", "text"}:
        return str(said[0]["text"])
    return said


# ---------------------------------------------------------------------------------------------- tools


def _tools(body: Body, conversation: Conversation, target: Target, draft: Draft) -> None:
    tools: list[Body] = []
    given = conversation.ext.get("messages.form", {}).get("tools", conversation.tools)
    for tool in given:
        if tool.kind == "function":
            if draft.home or not tool.deferred:  # elsewhere it is offered once the client has shown it to the model
                tools.append(draft.of(tool, _function))
        elif tool.protocol == "messages":
            tools.append(tool.raw)
        elif websearch.may_cross(tool, target, SEARCHERS) and not _is_named(conversation, websearch.NAME):
            written, left = websearch.for_messages(tool)
            tools += [written] if written not in tools else []
            for field in left:
                draft.drop(field)
        else:
            draft.drop(websearch.word(tool))
    if tools:
        body["tools"] = tools
        _tool_choice(body, conversation, draft)
    elif called := _called(body["messages"]) if not draft.home else {}:
        # Where the history holds calls, tools must be declared. The client offers none: none may be called.
        body["tools"] = [{"name": name, "input_schema": {"type": "object"}} for name in called]
        body["tool_choice"] = {"type": "none"}
    if not tools and conversation.tool_choice is not None and conversation.tool_choice.mode in ("any", "tool"):
        draft.drop("tool_choice")  # the tool that it forced did not cross


def _is_named(conversation: Conversation, name: str) -> bool:
    """Tells whether a tool of the client's own has this name. Anthropic takes each name once."""
    return any(tool.kind == "function" and tool.name == name for tool in conversation.tools)


def _function(tool: Tool, draft: Draft) -> Body:
    draft.leave(tool.ext)
    out: Body = {"name": draft.name(tool.name)}
    if tool.description:
        out["description"] = tool.description
    schema = {"type": "object", "properties": {}} if tool.schema is None else tool.schema
    out["input_schema"] = schema if "type" in schema or draft.home else {"type": "object"} | schema
    if tool.strict or draft.home and tool.strict is not None:  # false is as unsaid, and clouds refuse the word
        out["strict"] = tool.strict
    mark = tool.ext.get("cache", {}).get(leftovers.CACHE_CONTROL)
    return out | ({leftovers.CACHE_CONTROL: mark} if mark else {}) | tool.ext.get("messages", {})


def _called(turns: list[Body]) -> dict[str, None]:
    blocks = (block for turn in turns for block in turn["content"])
    return {block["name"]: None for block in blocks if block["type"] == "tool_use"}


def _tool_choice(body: Body, conversation: Conversation, draft: Draft) -> None:
    """Writes tool_choice. Anthropic's disable_parallel_tool_use is a part of it, and the inverse of the others'
    flag."""
    choice, parallel = conversation.tool_choice, conversation.parallel_tools
    out: Body = {}
    if choice is not None:
        out["type"] = choice.mode
        if choice.mode == "tool":
            out["name"] = _chosen(choice.name, conversation, draft)
            if not any(tool.get("name") == out["name"] for tool in body["tools"]):
                draft.drop("tool_choice")  # the tool that it named did not cross
                out = {}
    if out.get("type") in ("any", "tool") and not draft.home and forced_tools.are_refused(body["model"]):
        forced_tools.asked_for(body, out)
        draft.drop("tool_choice")
        out = {}
    if parallel is False and not out:
        out["type"] = "auto"
    if parallel is not None and out and out["type"] != "none":
        out["disable_parallel_tool_use"] = not parallel
    if out:
        body["tool_choice"] = out


def _chosen(given: str, conversation: Conversation, draft: Draft) -> str:
    """Returns the name of the tool that was chosen, as it is sent."""
    chosen = next((tool for tool in conversation.tools if tool.name == given and not draft.home), None)
    return websearch.NAME if chosen is not None and websearch.is_search(chosen) else draft.name(given)


# ------------------------------------------------------------------------------- from Messages itself


def _as_it_was(body: Body, conversation: Conversation) -> None:
    drawn, reasoning = conversation.sampling, conversation.reasoning
    form = conversation.ext.get("messages.form", {})
    given: Body = {
        "temperature": drawn.temperature,
        "top_p": drawn.top_p,
        "top_k": drawn.top_k,
        "stop_sequences": list(drawn.stop) or None,
    }
    body |= {key: value for key, value in given.items() if value is not None}
    said: Body = {}
    if reasoning.budget:
        said = {"type": "enabled", "budget_tokens": reasoning.budget}
    elif reasoning.enabled is not None:
        said = {"type": "adaptive" if reasoning.enabled else form.get("thinking", "disabled")}
    if reasoning.display:
        said["display"] = reasoning.display
    effort = form.get("effort", reasoning.effort)
    config: Body = {"effort": effort} if effort else {}
    if conversation.output is not None:
        config["format"] = {"type": "json_schema", "schema": conversation.output.schema}
    user = {"user_id": conversation.user} if conversation.user else {}
    sections = {"thinking": said, "output_config": config, "metadata": user}
    left = conversation.ext["messages"]
    body |= {key: value for key, value in left.items() if key not in sections}
    for key, section in sections.items():
        if whole := section | left.get(key, {}):
            body[key] = whole


# ------------------------------------------------------------------------------ from another protocol


def _made_to_fit(body: Body, conversation: Conversation, target: Target, draft: Draft) -> None:
    if left := thinking.write(body, conversation, target.policy):
        draft.drop(left)
    _output(body, conversation, draft)
    sampling.write(body, conversation.sampling, draft)
    _stops(body, conversation, draft)
    if conversation.user:
        body["metadata"] = {"user_id": _user_id(conversation.user)}
    if conversation.cache_key:
        draft.drop(conversation.words.cache_key)
    if conversation.service_tier not in ("", *leftovers.PLAIN_TIERS):
        draft.drop("service_tier")
    if conversation.verbosity not in ("", leftovers.USUAL_VERBOSITY):
        draft.drop(conversation.words.verbosity)
    for field in leftovers.dropped(conversation, draft.takes):
        draft.drop(field)


def _output(body: Body, conversation: Conversation, draft: Draft) -> None:
    output = conversation.output
    if output is None:
        return
    if output.kind == "json_object":  # it is asked for in words (see _system), which is not certain to work
        draft.drop(conversation.words.output)
        return
    schema = {"type": "object"} if output.schema is None else output.schema
    if output.description and "description" not in schema:
        schema = schema | {"description": output.description}
    config = body.setdefault("output_config", {})
    config["format"] = {"type": "json_schema", "schema": schema}


def _stops(body: Body, conversation: Conversation, draft: Draft) -> None:
    given = conversation.sampling.stop
    stop = [sequence for sequence in given if sequence.strip()]
    if len(stop) < len(given):  # Anthropic refuses stop sequences of white space
        draft.drop(conversation.words.stop)
    if stop:
        body["stop_sequences"] = stop


def _user_id(user: str) -> str:
    """Returns the user's id. Anthropic refuses e-mail addresses and long values, so these are hashed: the same user
    stays the same."""
    if "@" in user or len(user) > MAX_USER_ID:
        return hashlib.sha256(wire.dumps(user)).hexdigest()
    return user
