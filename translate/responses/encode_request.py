"""A Conversation as a Responses request body.

Nothing is left for the upstream to keep: store is false and the encrypted reasoning is asked for, since the client's
own history is all there is. What Responses has no field for is left out and named in `dropped`, in the words of the
client that sent it. From Responses to Responses nothing is repaired or renamed.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from translate import affinity
from translate.conversation import Conversation, OutputFormat, Reasoning, Tool, ToolChoice
from translate.encode_context import Draft
from translate.failures.errors import BadRequest
from translate.fields import leftovers
from translate.json.json_fields import Body
from translate.parts import logprobs
from translate.reasoning import effort
from translate.responses.encode_messages import instructions, items
from translate.target import Encoded, Target
from translate.tools import json_mode, websearch
from translate.tools.bridge import Bridged

LEAST_MAX_TOKENS = 16  # OpenAI answers 400 to less
MAX_USER = 64  # characters of `user`
ENCRYPTED = "reasoning.encrypted_content"
SEARCHERS = websearch.Searchers("responses", re.compile(r"gpt-(?!oss)|\bo[134]\b|codex|grok", re.I))

_SAYS_JSON: Body = {
    "type": "message", "role": "developer", "content": [{"type": "input_text", "text": json_mode.ONE_OBJECT}],
}  # fmt: skip
_CHOICE = {"auto": "auto", "any": "required", "none": "none"}


def encode(conversation: Conversation, target: Target) -> Encoded:
    """Writes the request. Raises BadRequest for what cannot cross and must not be lost. The conversation is not
    changed."""
    bridged = Bridged(conversation) if target.policy.rebuild else None
    conversation = bridged.conversation if bridged else conversation
    draft = Draft(conversation, target, "responses", "openai")
    draft.searches = websearch.has(conversation, target, SEARCHERS)
    body: Body = {"model": target.model}
    says_json = not draft.home and json_mode.is_unsaid(conversation)
    if said := instructions(json_mode.others(conversation.system) if says_json else conversation.system, draft):
        body["instructions"] = said
    body["input"] = items(conversation, draft)
    if not said and not body["input"] and not draft.home:
        raise BadRequest(f"{draft.words.history}: nothing in them can be sent to this model's upstream")
    if says_json:
        body["input"] = [_SAYS_JSON, *body["input"]]
    _tools(body, conversation, target, draft)
    _limits(body, conversation, draft)
    if conversation.output is not None:
        body["text"] = {"format": _format(conversation.output, draft)}
    _reasoning(body, conversation, target, draft)
    _identity(body, conversation, target, draft)
    if conversation.stream or target.policy.only_streams:
        body["stream"] = True
    if not draft.home:
        body["store"] = False
        _include(body, draft)
    _leftovers(body, conversation, draft)
    encoded = Encoded(body, draft.dropped, draft.tool_names, recurs=draft.recurs)
    if bridged:
        encoded.custom, encoded.namespaces = bridged.custom, bridged.namespaces
    return encoded


def _include(body: Body, draft: Draft) -> None:
    """Asks for what the client's history needs. Models that do not reason answer 400 to the wish for their thoughts."""
    thinks = draft.policy.reasoning_effort != "auto" or effort.may_reason(draft.target.model)
    wanted = [ENCRYPTED] if thinks else []
    if draft.searches:
        wanted.append(websearch.SOURCES)
    if wanted:
        body["include"] = wanted


# ------------------------------------------------------------------------------------------------------ tools


def _tools(body: Body, conversation: Conversation, target: Target, draft: Draft) -> None:
    tools: list[Body] = []
    spaces: dict[str, Body] = {}
    for tool in conversation.tools:
        form = tool.ext.get("responses.form", {})
        if (written := None if form.get("shown") else draft.of(tool, _tool)) is None:
            continue
        if not tool.namespace:
            tools.append(written)
            continue
        if tool.namespace not in spaces:
            about = tool.about_namespace
            spaces[tool.namespace] = {"type": "namespace", "name": tool.namespace, "description": about, "tools": []}
            tools.append(spaces[tool.namespace])
        spaces[tool.namespace]["tools"].append(written)
    if tools:
        body["tools"] = tools
    if conversation.parallel_tools is not None and (tools or draft.home):
        body["parallel_tool_calls"] = conversation.parallel_tools
    choice = conversation.tool_choice
    if choice is not None:
        sent = _choice(choice, conversation.tools, target, draft) if tools or draft.home else None
        if sent is not None:
            body["tool_choice"] = sent
        elif choice.mode in ("any", "tool"):
            draft.drop("tool_choice")  # the tool that it forced did not cross


def _tool(tool: Tool, draft: Draft) -> Body | None:
    if tool.kind == "server":
        return _server_tool(tool, draft)
    if tool.deferred and not draft.home:
        return None  # it is offered once the client has shown it to the model
    draft.leave(tool.ext)
    out: Body = {"type": tool.kind, "name": draft.name(tool.name)}
    if tool.description:
        out["description"] = tool.description
    if tool.kind == "custom":
        out |= {"format": tool.raw} if tool.raw else {}
    else:
        if tool.schema is not None or not draft.home:
            out["parameters"] = tool.schema or {"type": "object", "properties": {}}
        if tool.strict is not None or not draft.home:
            out["strict"] = bool(tool.strict)  # Responses tries strict unless it is told not to
        elif draft.policy.rebuild:
            out["strict"] = None  # the type has it as required
    if tool.ext.get("responses.form", {}).get("deferred"):
        out["defer_loading"] = True
    return out | tool.ext.get("responses", {})


def _server_tool(tool: Tool, draft: Draft) -> Body | None:
    if tool.protocol == "responses":
        return tool.raw
    if not websearch.may_cross(tool, draft.target, SEARCHERS):
        draft.drop(websearch.word(tool))
        return None
    written, left = websearch.for_responses(tool)
    for field in left:
        draft.drop(field)
    return written


def _choice(choice: ToolChoice, tools: list[Tool], target: Target, draft: Draft) -> Any:
    if choice.mode != "tool":
        return _CHOICE[choice.mode]
    for tool in tools:
        if (tool.namespace, tool.name) != (choice.namespace, choice.name):
            continue
        if tool.deferred and not draft.home:
            return None
        if tool.kind == "server":
            if websearch.may_cross(tool, target, SEARCHERS):
                return {"type": websearch.NAME}
            return {"type": choice.name} if tool.protocol == "responses" else None
        space = {"namespace": choice.namespace} if choice.namespace else {}
        return {"type": tool.kind, "name": draft.name(choice.name), **space}
    return None


# -------------------------------------------------------------------------------------------- limits, output


def _limits(body: Body, conversation: Conversation, draft: Draft) -> None:
    policy, sampling = draft.policy, conversation.sampling
    if (limit := conversation.max_tokens) is not None:
        limit = min(limit, policy.max_tokens) if policy.max_tokens else limit
        body["max_output_tokens"] = limit if draft.home else max(limit, LEAST_MAX_TOKENS)
    if sampling.temperature is not None:
        body["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    for field in ("top_k", "seed"):
        if getattr(sampling, field) is not None:
            draft.drop(field)
    for field in ("frequency_penalty", "presence_penalty"):  # one of 0 is none
        if getattr(sampling, field):
            draft.drop(field)
    if sampling.stop:
        draft.drop(draft.words.stop)


def _format(output: OutputFormat, draft: Draft) -> Body:
    if output.kind == "json_object":
        return {"type": "json_object"}
    schema = output.schema or {"type": "object"}
    wanted: Body = {"type": "json_schema", "name": re.sub(r"[^a-zA-Z0-9_-]", "_", output.name)[:64] or "output"}
    if output.description:
        wanted["description"] = output.description
    return wanted | {"schema": schema} | ({} if output.strict is None else {"strict": output.strict})


def _reasoning(body: Body, conversation: Conversation, target: Target, draft: Draft) -> None:
    """Writes an effort where the client named one or a budget, and asks for a summary where it wants to see the
    thinking."""
    wanted = conversation.reasoning
    if draft.home:
        known = ("effort", "summary", "generate_summary")
        raw = conversation.ext.get("responses.form", {}).get("reasoning") or {}
        if said := {key: value for key, value in raw.items() if key in known}:
            body["reasoning"] = said
        return
    may = target.policy.reasoning_effort
    if wanted.enabled is False:
        _switched_off(body, wanted, target, draft)
        return
    word = wanted.effort or (effort.effort_of(wanted.budget) if wanted.budget else "")
    said = {}
    if word:
        if sent := effort.chat_effort(word, target.model, may):
            said["effort"] = sent
            if effort.is_lowered(wanted.effort, sent):
                draft.drop(_effort_word(draft, wanted))
        else:
            draft.drop(_effort_word(draft, wanted))
            return
    sees = wanted.display or draft.words.display or draft.words.sees_thoughts
    if wanted.enabled and sees and wanted.display != "omitted":
        said["summary"] = "auto"
    if said:
        body["reasoning"] = said


def _switched_off(body: Body, wanted: Reasoning, target: Target, draft: Draft) -> None:
    """Says that the model is not to think, where it has a word for that."""
    may = target.policy.reasoning_effort
    if "none" in effort.listed(target.model, may):
        body["reasoning"] = {"effort": "none"}
    elif wanted.effort == "none" or effort.always_thinks(target.model, may):
        draft.drop(draft.words.effort if wanted.effort == "none" else draft.words.thinking)
    if wanted.effort not in ("", "none"):
        draft.drop(draft.words.effort)


def _effort_word(draft: Draft, wanted: Reasoning) -> str:
    return draft.words.effort if wanted.effort else draft.words.thinking


def _identity(body: Body, conversation: Conversation, target: Target, draft: Draft) -> None:
    if user := conversation.user:
        too_long = len(user) > MAX_USER and not draft.home
        field = conversation.ext.get("responses.form", {}).get("user", "user")
        body[field] = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest() if too_long else user
    if key := affinity.prompt_cache_key(conversation, target):
        body["prompt_cache_key"] = key
    if conversation.service_tier:
        if draft.home or conversation.service_tier in leftovers.OPENAI_TIERS:
            body["service_tier"] = conversation.service_tier
        elif conversation.service_tier not in leftovers.PLAIN_TIERS:
            draft.drop("service_tier")  # a word of another server's


def _leftovers(body: Body, conversation: Conversation, draft: Draft) -> None:
    likely = not draft.home and logprobs.crosses(conversation, draft.target)
    if likely:
        body |= logprobs.alternatives(conversation) | {"include": [*body.get("include", ()), logprobs.WISH]}
    for field in leftovers.dropped(conversation, draft.takes, likely=likely):
        draft.drop(field)
    if conversation.verbosity:
        _put(body, "text.verbosity", conversation.verbosity)
    for group in draft.takes:
        for field, value in conversation.ext.get(group, {}).items():
            _put(body, field, value)


def _put(body: Body, field: str, value: Any) -> None:
    """Puts a field into the body. It may lie within another: "text.verbosity"."""
    section, dot, key = field.partition(".")
    if dot:
        body[section] = body.get(section, {}) | {key: value}
    else:
        body[field] = value
