"""A Conversation as a Chat request body, in the dialect that the target's policy names.

What Chat has no field for is left out and named in `dropped`, in the words of the client that sent it. From
Chat to Chat nothing is repaired or renamed: the result says what the client's body said.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from translate import affinity
from translate.chat.encode_messages import messages
from translate.conversation import Conversation, OutputFormat, Reasoning, Tool, ToolChoice
from translate.encode_context import Draft
from translate.fields import leftovers
from translate.json.json_fields import Body
from translate.parts import logprobs
from translate.reasoning import effort
from translate.target import Encoded, Target
from translate.tools import json_mode, websearch
from translate.tools.bridge import Bridged

MAX_USER = 64  # characters of `user`

_SAMPLING = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")  # as Sampling has them, too
_CHOICE = {"auto": "auto", "any": "required", "none": "none"}


def encode(conversation: Conversation, target: Target) -> Encoded:
    """Writes the request. Raises BadRequest for what cannot cross and must not be lost. The conversation is not
    changed."""
    bridged = Bridged(conversation) if "chat" not in conversation.ext or target.policy.rebuild else None
    conversation = bridged.conversation if bridged else conversation
    shared = ("openai",) if "chat" in conversation.ext else ()  # servers that are merely compatible refuse those fields
    draft = Draft(conversation, target, "chat", *shared)
    body: Body = {"model": target.model}
    _tools(body, conversation, draft)  # before the messages: reports come in the order of the client's fields
    body["messages"] = messages(conversation if draft.home else json_mode.in_words(conversation), draft)
    _limits(body, conversation, draft)
    if conversation.output is not None:
        body["response_format"] = _format(conversation.output, draft)
    _reasoning(body, conversation, target, draft)
    _identity(body, conversation, target, draft)
    if conversation.stream or target.policy.only_streams:
        body["stream"] = True
        if target.policy.stream_options:
            body["stream_options"] = {"include_usage": True}
    _leftovers(body, conversation, draft)
    encoded = Encoded(body, draft.dropped, draft.tool_names, recurs=draft.recurs)
    if bridged:
        encoded.custom, encoded.namespaces = bridged.custom, bridged.namespaces
    return encoded


# --------------------------------------------------------------------------------------------------- tools


def _tools(body: Body, conversation: Conversation, draft: Draft) -> None:
    tools = [written for tool in conversation.tools if (written := draft.of(tool, _tool))]
    for options in [tool for tool in tools if tool["type"] == "web_search_options"]:
        tools.remove(options)
        body["web_search_options"] = options["web_search_options"]
    if tools:
        body["tools"] = tools
    if conversation.parallel_tools is not None and (tools or draft.home):
        body["parallel_tool_calls"] = conversation.parallel_tools
    if conversation.tool_choice is not None:
        choice = _choice(conversation.tool_choice, conversation.tools, draft) if tools else None
        if choice is not None:
            body["tool_choice"] = choice
        elif conversation.tool_choice.mode in ("any", "tool"):
            draft.drop("tool_choice")  # the tool that it forced did not cross


def _tool(tool: Tool, draft: Draft) -> Body | None:
    if tool.kind == "server":
        if tool.protocol == "chat":
            return tool.raw
        draft.drop(websearch.word(tool))
        return None
    if tool.deferred:
        return None  # it is offered once the client has shown it to the model
    draft.leave(tool.ext)
    own = tool.ext.get("chat", {})
    if tool.kind == "custom":
        return {"type": "custom", "custom": _custom(tool), **own}
    function: Body = {"name": draft.name(tool.name)}
    if tool.description:
        function["description"] = tool.description
    if tool.schema is not None or not draft.home:
        function["parameters"] = tool.schema or {"type": "object", "properties": {}}
    if tool.strict or draft.home and tool.strict is not None:  # false is as unsaid, and some servers refuse the word
        function["strict"] = tool.strict
    return {"type": "function", "function": function, **own}


def _custom(tool: Tool) -> Body:
    custom: Body = {"name": tool.name}
    if tool.description:
        custom["description"] = tool.description
    if tool.raw.get("type") == "grammar":
        custom["format"] = {"type": "grammar", "grammar": {k: v for k, v in tool.raw.items() if k != "type"}}
    elif tool.raw:
        custom["format"] = tool.raw
    return custom


def _choice(choice: ToolChoice, tools: list[Tool], draft: Draft) -> Any:
    if choice.mode != "tool":
        return _CHOICE[choice.mode]
    for tool in tools:
        if tool.name == choice.name and not tool.deferred and (tool.kind == "function" or draft.home):
            kind = "custom" if tool.kind == "custom" else "function"
            return {"type": kind, kind: {"name": draft.name(choice.name)}}
    return None


# ----------------------------------------------------------------------------------------- limits and such


def _limits(body: Body, conversation: Conversation, draft: Draft) -> None:
    policy, sampling = draft.policy, conversation.sampling
    if (limit := conversation.max_tokens) is not None:
        body[policy.max_tokens_field] = min(limit, policy.max_tokens) if policy.max_tokens else limit
    for field in _SAMPLING:
        if (value := getattr(sampling, field)) is not None:
            body[field] = value
    if sampling.top_k is not None:
        if draft.home:
            body["top_k"] = sampling.top_k
        else:
            draft.drop("top_k")
    if sampling.stop:
        if policy.max_stops:
            body["stop"] = sampling.stop[: policy.max_stops]
        if len(sampling.stop) > policy.max_stops:
            draft.drop(draft.words.stop)


def _format(output: OutputFormat, draft: Draft) -> Body:
    if output.kind == "json_object":
        return {"type": "json_object"}
    schema = output.schema
    wanted: Body = {"name": re.sub(r"[^a-zA-Z0-9_-]", "_", output.name)[:64] or "output"}
    if output.description:
        wanted["description"] = output.description
    if schema is not None or not draft.home:
        wanted["schema"] = schema or {"type": "object"}
    if output.strict is not None:
        wanted["strict"] = output.strict
    return {"type": "json_schema", "json_schema": wanted}


def _reasoning(body: Body, conversation: Conversation, target: Target, draft: Draft) -> None:
    """Writes reasoning_effort where the client named an effort or a budget. Chat has no word for adaptive or disabled
    thinking; some upstreams do."""
    wanted = conversation.reasoning
    if draft.home and (said := conversation.ext.get("chat.form", {}).get("reasoning")):
        body |= said  # in whichever vendor's words
        return
    if wanted.display not in ("", "summarized") and draft.words.display:  # the client gets all of it
        draft.drop(draft.words.display)
    if not draft.home and (off := _gives_way(body, target)):
        body |= off
        if wanted.effort not in ("", "none"):
            draft.drop(draft.words.effort)
        elif wanted.enabled:
            draft.drop(draft.words.thinking)
        return
    if wanted.enabled is False and not draft.home and _switched_off(body, wanted, target, draft):
        return
    _effort(body, wanted, target, draft)
    said = "reasoning_effort" in body and target.policy.thinking_switch == "reasoning"  # both are one wish there
    if wanted.enabled and not draft.home and not said:
        body |= effort.switch(target.policy.thinking_switch, target.model, on=True) or {}


def _gives_way(body: Body, target: Target) -> Body:
    """Returns what switches thinking off where the upstream's models refuse tools, or one that is forced, while they
    think; they do so unless they are told otherwise."""
    field, choice = target.policy.thinking_switch, body.get("tool_choice")
    if field == effort.BESIDE_TOOLS:
        refused = bool(body.get("tools")) and _may_stop_thinking(target)
    else:
        refused = field in effort.BEFORE_TOOLS and (choice == "required" or isinstance(choice, dict))
    return (effort.switch(field, target.model, on=False) or {}) if refused else {}


def _may_stop_thinking(target: Target) -> bool:
    """Tells whether the model may be told so by an effort. One that never thinks refuses the field."""
    return effort.may_reason(target.model) and not effort.always_thinks(target.model, target.policy.reasoning_effort)


def _switched_off(body: Body, wanted: Reasoning, target: Target, draft: Draft) -> bool:
    """Says that the model is not to think, where the upstream has a word for it. False: it has none."""
    field, may = target.policy.thinking_switch, target.policy.reasoning_effort
    off = effort.switch(field, target.model, on=False) if field != effort.BESIDE_TOOLS else None
    if field in ("none", effort.BESIDE_TOOLS) and not effort.always_thinks(target.model, may):
        if "none" not in effort.listed(target.model, may):
            return False
        off = {"reasoning_effort": "none"}
    body |= off or {}
    if off is None:  # it always thinks
        draft.drop(draft.words.effort if wanted.effort == "none" else draft.words.thinking)
    if wanted.effort not in ("", "none"):
        draft.drop(draft.words.effort)
    return True


def _effort(body: Body, wanted: Reasoning, target: Target, draft: Draft) -> None:
    word = wanted.effort or (effort.effort_of(wanted.budget) if wanted.budget else "")
    if not word:
        return
    own = draft.words.effort
    thinks = wanted.enabled is not False or wanted.effort == "none"  # Anthropic's effort is about all output
    may = target.policy.reasoning_effort
    if thinks and (sent := word if draft.home else effort.chat_effort(word, target.model, may)):
        body["reasoning_effort"] = sent
        if not draft.home and effort.is_lowered(wanted.effort, sent):
            draft.drop(own)
    elif not draft.home and (thinks or wanted.effort):
        draft.drop(own if wanted.effort else draft.words.thinking)


def _identity(body: Body, conversation: Conversation, target: Target, draft: Draft) -> None:
    if user := conversation.user:
        too_long = len(user) > MAX_USER
        body["user"] = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest() if too_long else user
    if key := affinity.prompt_cache_key(conversation, target):
        body["prompt_cache_key"] = key
    if conversation.service_tier:
        if draft.home:
            body["service_tier"] = conversation.service_tier
        elif conversation.service_tier not in leftovers.PLAIN_TIERS:
            draft.drop("service_tier")  # a tier of one provider means nothing, or another price, at the next


def _leftovers(body: Body, conversation: Conversation, draft: Draft) -> None:
    if verbosity := conversation.verbosity:
        if draft.home or effort.has_verbosity(str(body["model"])):
            body["verbosity"] = verbosity
        elif verbosity != leftovers.USUAL_VERBOSITY:
            draft.drop(draft.words.verbosity)
    likely = not draft.home and logprobs.crosses(conversation, draft.target)
    if likely:
        body |= logprobs.alternatives(conversation) | {"logprobs": True}
    for field in leftovers.dropped(conversation, draft.takes, likely=likely):
        draft.drop(field)
    if not draft.home:
        return
    for field, value in (conversation.ext["chat"] | conversation.ext.get("openai", {})).items():
        if isinstance(value, dict) and isinstance(body.get(field), dict):
            body[field] = body[field] | value  # stream_options: the proxy knows one field of it
        else:
            body[field] = value
