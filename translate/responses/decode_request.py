"""A Responses client's request as a Conversation.

Only what crosses comes here (a Responses upstream gets a Responses client's bytes as they are). What rests on state
that an upstream keeps is refused by name: previous_response_id, conversation, prompt, background. Fields without a
neutral word stay in ext["responses"] under the client's own names, a part of a field as "text.verbosity", for the
encoder to report as dropped; ext["responses"] is there even if empty, which tells the origin.
Source: the OpenAI SDK's types, responses/response_create_params.py.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Conversation, OutputFormat, Part, Reasoning, Sampling, Text, Tool, ToolCall
from translate.failures import problems
from translate.failures.errors import BadRequest
from translate.fields.leftovers import mistyped, note_within, split_openai
from translate.json.json_fields import count_of, flag_of, list_of, text_of
from translate.parts import logprobs
from translate.reasoning import effort
from translate.responses.decode_messages import History
from translate.responses.decode_tools import allowed, read_choice, read_tools
from translate.responses.words import WORDS

_MAPPED = frozenset({
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens",
    "temperature", "top_p", "user", "prompt_cache_key", "service_tier", "stream", "text", "reasoning",
})  # fmt: skip
_TYPES = {
    "user": str, "safety_identifier": str, "prompt_cache_key": str, "parallel_tool_calls": bool, "service_tier": str,
}  # fmt: skip
_STATEFUL = {
    "previous_response_id": "it names a response that this model's upstream has not stored; send the whole input",
    "conversation": "this model's upstream keeps no conversations; send the whole input",
    "prompt": "this model's upstream keeps no prompts; send instructions and input",
    "background": "this model's upstream cannot answer in the background",
}
_FORMAT = ("type", "name", "description", "schema", "strict")
_CHOICE = ("type", "name", "namespace", "mode", "tools", "server_label")
_SUMMARIES = ("auto", "concise", "detailed")


def decode(body: dict[str, Any]) -> Conversation:
    """Reads a Responses request. Raises BadRequest; its param is in OpenAI's form, `input[1].call_id`."""
    given = {key: value for key, value in body.items() if value is not None}
    model = given.get("model", "")
    if not isinstance(model, str):
        raise problems.wrong_type("model", "a string", model)
    for field, why in _STATEFUL.items():
        if given.get(field):
            raise BadRequest(f"'{field}' cannot be used here: {why}.", field)
    history = History()
    history.system += _instructions(given)
    history.read(given.get("input"))
    left = {key: value for key, value in given.items() if key not in _MAPPED} | mistyped(given, _TYPES)
    conversation = Conversation(model, history.turns, history.system, ext={"responses": left}, words=WORDS)
    tools = read_tools(given.get("tools"))
    conversation.tools = allowed(_offered(tools, history), given.get("tool_choice"))
    conversation.tool_choice = read_choice(given.get("tool_choice"))
    conversation.parallel_tools = flag_of(given, "parallel_tool_calls")
    conversation.sampling = Sampling(problems.number_of(given, "temperature"), problems.number_of(given, "top_p"))
    conversation.max_tokens = problems.limit_of(given, "max_output_tokens")
    conversation.reasoning = _reasoning(given, left)
    conversation.output = _output(given, left)
    conversation.verbosity = text_of(_section(given, "text"), "verbosity")
    conversation.user = text_of(given, "user") or text_of(given, "safety_identifier")
    if "user" not in given:
        left.pop("safety_identifier", None)
    form = {"user": "user" if "user" in given else "safety_identifier", "reasoning": given.get("reasoning")}
    conversation.ext = split_openai(left, "responses") | {"responses.form": form}
    if conversation.output is not None:
        note_within(given["text"]["format"], "text.format", _FORMAT, conversation.ext)
    if isinstance(choice := given.get("tool_choice"), dict):
        note_within(choice, "tool_choice", _CHOICE, conversation.ext)
    conversation.cache_key = text_of(given, "prompt_cache_key")
    conversation.service_tier = text_of(given, "service_tier")
    conversation.stream = given.get("stream") is True
    if logprobs.WISH in list_of(given, "include"):
        conversation.sampling.logprobs = count_of(given, "top_logprobs")
    return conversation


def _instructions(given: dict[str, Any]) -> list[Part]:
    said = given.get("instructions")
    if said is None or said == "":
        return []
    if not isinstance(said, str):
        raise problems.wrong_type("instructions", "a string", said)
    return [Text(said, {"responses.form": {"instructions": True}})]


def _offered(tools: list[Tool], history: History) -> list[Tool]:
    """Returns the tools that are offered. A deferred tool is shown once a search has found it, or the model has called
    it: OpenAI puts the call of one without a namespace into one of its own name."""
    if any(tool.deferred for tool in tools):
        calls = [part for turn in history.turns for part in turn.parts if isinstance(part, ToolCall)]
        met = {(tool.namespace, tool.name) for tool in history.shown}
        met |= {(call.namespace, call.name) for call in calls}
        met |= {("", call.name) for call in calls if call.namespace == call.name}
        for tool in tools:
            tool.deferred = tool.deferred and (tool.namespace, tool.name) not in met
    known = {(tool.namespace, tool.name) for tool in tools if not tool.deferred}
    return tools + [tool for tool in history.shown if (tool.namespace, tool.name) not in known]


# ------------------------------------------------------------------------------------------------------ values


def _reasoning(given: dict[str, Any], left: dict[str, Any]) -> Reasoning:
    said = _section(given, "reasoning")
    word = effort.said(text_of(said, "effort"))
    wanted = Reasoning(effort=word)
    if word:
        wanted.enabled = word != "none"
    summary = text_of(said, "summary") or text_of(said, "generate_summary")
    if summary in _SUMMARIES:
        wanted.display = "summarized"
        if wanted.enabled is None:  # such a model thinks as it likes, and is to show it
            wanted.enabled = wanted.adaptive = True
    known = ("effort", "summary", "generate_summary")
    left |= {f"reasoning.{key}": value for key, value in said.items() if key not in known and value is not None}
    left |= {f"reasoning.{key}": value for key, value in mistyped(said, dict.fromkeys(known, str)).items()}
    return wanted


def _output(given: dict[str, Any], left: dict[str, Any]) -> OutputFormat | None:
    said = _section(given, "text")
    known = ("format", "verbosity") if text_of(said, "verbosity") else ("format",)
    left |= {f"text.{key}": value for key, value in said.items() if key not in known and value is not None}
    wanted = _section(said, "format", "text.format")
    kind = wanted.get("type", "text")
    if kind == "json_object":
        return OutputFormat("json_object")
    if kind != "json_schema":
        if kind != "text":
            left["text.format"] = wanted
        return None
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise problems.missing("text.format.schema")
    strict = flag_of(wanted, "strict")
    return OutputFormat("json_schema", schema, text_of(wanted, "name"), text_of(wanted, "description"), strict)


def _section(given: dict[str, Any], key: str, path: str = "") -> dict[str, Any]:
    value = given.get(key)
    if value is not None and not isinstance(value, dict):
        raise problems.wrong_type(path or key, "an object", value)
    return value or {}
