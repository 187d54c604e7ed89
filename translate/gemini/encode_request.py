"""A Conversation as a Gemini request body. The model's name and whether the reply streams are said by the address.

A conversation that came from Gemini keeps its body, but for its contents. Any other is made to fit, and every field
that did not cross is named in the client's words.
"""

from __future__ import annotations

import re

from translate.conversation import Conversation, OutputFormat, Tool, ToolChoice
from translate.encode_context import Draft
from translate.fields import leftovers
from translate.gemini import thinking
from translate.gemini.encode_contents import contents, function_name, parts_of
from translate.gemini.schema import as_google
from translate.json.json_fields import Body
from translate.parts import readable_parts
from translate.target import Encoded, Target
from translate.tools import websearch
from translate.tools.bridge import Bridged

MAX_STOPS = 5
SEARCHERS = websearch.Searchers("gemini", re.compile(r"gemini-(?:2|[3-9]|[1-9]\d)"))
_SEARCHES_BESIDE_FUNCTIONS = re.compile(r"gemini-(?:[3-9]|[1-9]\d)")
_SHOWN = "includeServerSideToolInvocations"
_MODES = {"auto": "AUTO", "any": "ANY", "none": "NONE"}
_TIERS = ("flex", "priority")


def encode(conversation: Conversation, target: Target) -> Encoded:
    """Writes the request. Raises BadRequest for what cannot cross and must not be lost. The conversation is not
    changed."""
    draft = Draft(conversation, target, "gemini", "proof")
    if draft.home:
        return Encoded(_as_it_was(conversation, target, draft), draft.dropped, draft.tool_names)
    bridged = Bridged(conversation)
    conversation = bridged.conversation
    body: Body = {}
    if system := _system(conversation, draft):
        body["systemInstruction"] = {"parts": system}
    _tools(body, conversation, draft)
    searched = body.get("toolConfig", {}).get(_SHOWN) is True
    body["contents"] = contents(conversation.turns, draft, searched=searched)
    config = _sampling(conversation, draft)
    if conversation.output is not None:
        config |= _output(conversation.output)
    if conversation.pictures:
        config["responseModalities"] = ["TEXT", "IMAGE"]
    if wish := thinking.write(conversation, target.model, draft):
        config["thinkingConfig"] = wish
    if config:
        body["generationConfig"] = config
    _rest(body, conversation, draft)
    return Encoded(body, draft.dropped, draft.tool_names, bridged.custom, bridged.namespaces, recurs=draft.recurs)


def _as_it_was(conversation: Conversation, target: Target, draft: Draft) -> Body:
    said = conversation.ext.get("gemini.form", {}).get("body", {})
    body = {key: value for key, value in said.items() if key not in ("model", "stream")}
    body["contents"] = contents(conversation.turns, draft)
    most, clamp = conversation.max_tokens, target.policy.max_tokens
    if most is not None and clamp and most > clamp:
        body["generationConfig"] = body["generationConfig"] | {"maxOutputTokens": clamp}
    return body


def _system(conversation: Conversation, draft: Draft) -> list[Body]:
    return [said for part in readable_parts.system(conversation.system) for said in parts_of(part, draft)]


# ---------------------------------------------------------------------------------------------- tools


def _tools(body: Body, conversation: Conversation, draft: Draft) -> None:
    offered = [tool for tool in conversation.tools if tool.kind == "function" and not tool.deferred]
    functions = [draft.of(tool, _function) for tool in offered]
    tools: list[Body] = [{"functionDeclarations": functions}] if functions else []
    if _searches(conversation, bool(functions), draft):
        tools.append({"googleSearch": {}})
    if tools:
        body["tools"] = tools
    choice = conversation.tool_choice
    config = _choice(choice, functions, draft) if choice is not None else {}
    if choice is not None and choice.mode in ("any", "tool") and not (config and functions):
        draft.drop("tool_choice")  # a search cannot be forced, and another tool did not cross
    if functions and (config or len(tools) > 1):
        body["toolConfig"] = {"functionCallingConfig": config} if len(tools) == 1 else _of_both(config, draft)
    if conversation.parallel_tools is False and functions:
        draft.drop(draft.words.parallel)


def _of_both(config: Body, draft: Draft) -> Body:
    """Returns how functions may be called beside Google's search: it wants to be told that the search's own calls may
    stand in the reply, but for Vertex AI, which refuses the word. There is no mode AUTO then."""
    config = config if config.get("mode") in ("ANY", "NONE") else {"mode": "VALIDATED"}
    shown: Body = {_SHOWN: True} if draft.policy.call_ids else {}
    return {"functionCallingConfig": config} | shown


def _searches(conversation: Conversation, beside: bool, draft: Draft) -> bool:
    """Tells whether Google's search is offered for a client's. Before the third generation it has no place beside
    functions."""
    for tool in conversation.tools:
        if tool.kind != "server":
            continue
        may = not beside or _SEARCHES_BESIDE_FUNCTIONS.search(draft.target.model)
        if may and websearch.may_cross(tool, draft.target, SEARCHERS):
            for field in websearch.left_by_google(tool):
                draft.drop(field)
            draft.searches = True
        else:
            draft.drop(websearch.word(tool))
    return draft.searches


def _function(tool: Tool, draft: Draft) -> Body:
    draft.leave(tool.ext)
    out: Body = {"name": function_name(tool.name, draft)}
    if tool.description:
        out["description"] = tool.description
    if tool.schema and not _is_bare(tool.schema):
        out["parameters"] = as_google(tool.schema)
    return out


def _is_bare(schema: Body) -> bool:
    """Tells whether it is an object without any property, which Google refuses."""
    return schema.get("type") in (None, "object") and not schema.get("properties") and "anyOf" not in schema


def _choice(choice: ToolChoice, functions: list[Body], draft: Draft) -> Body:
    if choice.mode != "tool":
        return {"mode": _MODES[choice.mode]}
    name = function_name(choice.name, draft)
    if any(each["name"] == name for each in functions):
        return {"mode": "ANY", "allowedFunctionNames": [name]}
    return {}


# --------------------------------------------------------------------------------------------- config


def _sampling(conversation: Conversation, draft: Draft) -> Body:
    sampling, clamp = conversation.sampling, draft.policy.max_tokens
    config: Body = {}
    if (most := conversation.max_tokens) is not None:
        config["maxOutputTokens"] = min(most, clamp) if clamp else most
    given = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        "seed": sampling.seed,
        "frequencyPenalty": sampling.frequency_penalty or None,  # most models answer 400 to any, and 0 says nothing
        "presencePenalty": sampling.presence_penalty or None,
    }
    config |= {key: value for key, value in given.items() if value is not None}
    if sampling.stop:
        config["stopSequences"] = sampling.stop[:MAX_STOPS]
        if len(sampling.stop) > MAX_STOPS:
            draft.drop(draft.words.stop)
    return config


def _output(output: OutputFormat) -> Body:
    config: Body = {"responseMimeType": "application/json"}
    if output.kind == "json_schema" and output.schema:
        schema = output.schema
        if output.description and "description" not in schema and "anyOf" not in schema:  # nothing stands beside that
            schema = schema | {"description": output.description}
        if not _is_bare(schema):
            config["responseSchema"] = as_google(schema)
    return config


def _rest(body: Body, conversation: Conversation, draft: Draft) -> None:
    if conversation.user:
        draft.drop(draft.words.user)
    if conversation.cache_key and draft.words.cache_key:
        draft.drop(draft.words.cache_key)
    if (tier := conversation.service_tier) in _TIERS:
        body["serviceTier"] = tier
    elif tier not in ("", *leftovers.PLAIN_TIERS):
        draft.drop("service_tier")
    if conversation.verbosity not in ("", leftovers.USUAL_VERBOSITY):
        draft.drop(draft.words.verbosity)
    for field in leftovers.dropped(conversation, draft.takes):
        if field != "modalities" or not conversation.pictures:
            draft.drop(field)
