"""A Gemini client's request as a Conversation.

The model's name and whether the reply streams stand in the address; the gateway puts both into the body that comes
here, as `model` and `stream`. Fields without a neutral word stay in ext["gemini"] under their own names (those of
generationConfig as "generationConfig.NAME"), for the encoder to report as dropped. Refused is what the request would
mean something else without: a cached beginning that Google alone has, several answers.
Source: google-genai's types; ai.google.dev, API reference.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import (
    Conversation,
    OutputFormat,
    Sampling,
    Tool,
    ToolChoice,
)
from translate.failures.errors import BadRequest
from translate.fields.leftovers import note_within
from translate.gemini import thinking
from translate.gemini.decode_contents import decode_contents, instructions
from translate.gemini.decode_tools import allowed, tools_of
from translate.gemini.fields import Raw, camel, items, number, section, text, whole, word, wrong
from translate.gemini.schema import as_json_schema
from translate.gemini.words import WORDS

_KNOWN = frozenset({"model", "stream", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig"})
_GENERATION = frozenset({
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "presencePenalty",
    "frequencyPenalty", "seed", "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig",
})  # fmt: skip
_REFUSED = {
    "cachedContent": "what it stands for is kept by Google, and this model's upstream cannot read it; send it instead",
    "continuationToken": "it goes on with a reply that Google has begun, and this model's upstream has not",
}
_THINKING = ("includeThoughts", "thinkingBudget", "thinkingLevel")
_CALLING = ("mode", "allowedFunctionNames")
_IN = "generationConfig."
_MODES = ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")
_TEXT = 1  # the number of TEXT
_PLAIN, _JSON, _ENUM = ("", "text/plain"), "application/json", "text/x.enum"


def decode(body: Raw) -> Conversation:
    """Reads a request. Raises BadRequest naming the field."""
    given = camel(body)
    for field, why in _REFUSED.items():
        if given.get(field):
            raise BadRequest(f"{field}: {why}", field)
    config = section(given, "generationConfig")
    if (count := whole(config, "candidateCount", _IN)) is not None and count > 1:
        raise wrong(f"{_IN}candidateCount", "only 1 is supported: this model's upstream speaks another protocol")
    tools = tools_of(given)
    choice, tools = _choice(given, tools)
    left = {key: value for key, value in given.items() if key not in _KNOWN and key not in _REFUSED}
    left |= {_IN + key: value for key, value in config.items() if key not in _GENERATION}
    _modalities(left)
    conversation = Conversation(
        text(given, "model").removeprefix("models/"),
        decode_contents(given.get("contents")),
        system=instructions(given.get("systemInstruction")),
        tools=tools,
        tool_choice=choice,
        sampling=_sampling(config),
        max_tokens=_most(config),
        reasoning=thinking.read(section(config, "thinkingConfig", _IN)),
        stream=given.get("stream") is True,
        ext={"gemini": left, "gemini.form": {"body": given}},
        words=WORDS,
    )
    _output(config, conversation, left)
    _rest_of_tools(given, left)
    note_within(section(config, "thinkingConfig"), f"{_IN}thinkingConfig", _THINKING, conversation.ext)
    calling = section(section(given, "toolConfig"), "functionCallingConfig")
    note_within(calling, "toolConfig.functionCallingConfig", _CALLING, conversation.ext)
    return conversation


def _modalities(left: Raw) -> None:
    if left.get(f"{_IN}responseModalities") in (["TEXT"], [_TEXT]):
        del left[f"{_IN}responseModalities"]


def _sampling(config: Raw) -> Sampling:
    stop = config.get("stopSequences", [])
    if not isinstance(stop, list) or not all(isinstance(each, str) for each in stop):
        raise wrong(f"{_IN}stopSequences", "a list of strings is expected")
    return Sampling(
        temperature=number(config, "temperature", _IN),
        top_p=number(config, "topP", _IN),
        top_k=whole(config, "topK", _IN),
        stop=[each for each in stop if each],
        seed=whole(config, "seed", _IN),
        frequency_penalty=number(config, "frequencyPenalty", _IN),
        presence_penalty=number(config, "presencePenalty", _IN),
    )


def _most(config: Raw) -> int | None:
    most = whole(config, "maxOutputTokens", _IN)
    if most is not None and most < 1:
        raise wrong(f"{_IN}maxOutputTokens", "a number above 0 is expected")
    return most


def _output(config: Raw, conversation: Conversation, left: Raw) -> None:
    """Reads the form of the answer. One of several words, as bare text, is a schema like others; its reply differs."""
    kind = text(config, "responseMimeType", _IN).lower()
    schema: Any = config.get("responseJsonSchema")
    if schema is None and "responseSchema" in config:
        schema = as_json_schema(config["responseSchema"])
    if schema is not None and not isinstance(schema, dict):
        raise wrong(f"{_IN}responseSchema", "an object is expected")
    if kind == _JSON:
        conversation.output = OutputFormat("json_schema", schema) if schema else OutputFormat("json_object")
    elif kind == _ENUM and schema and "enum" in schema:
        conversation.output = OutputFormat("json_schema", schema, bare=True)
    else:
        if kind not in _PLAIN:
            left[f"{_IN}responseMimeType"] = kind
        if schema:
            left[f"{_IN}responseSchema"] = schema


def _choice(given: Raw, tools: list[Tool]) -> tuple[ToolChoice | None, list[Tool]]:
    """Returns the choice, and the tools that it leaves: the others are not offered, which comes to the same."""
    config = section(section(given, "toolConfig"), "functionCallingConfig", "toolConfig.")
    mode = _mode(config)
    names = [name for name in items(config, "allowedFunctionNames") if isinstance(name, str)]
    tools = allowed(tools, names) if mode in ("ANY", "VALIDATED") else tools
    match mode:
        case "" | "MODE_UNSPECIFIED":
            return None, tools
        case "AUTO" | "VALIDATED":
            return ToolChoice("auto"), tools
        case "NONE":
            return ToolChoice("none"), tools
        case "ANY":
            return (ToolChoice("tool", names[0]) if len(names) == 1 else ToolChoice("any")), tools
    raise wrong("toolConfig.functionCallingConfig.mode", f"{mode!r} is none of 'AUTO', 'ANY', 'NONE' and 'VALIDATED'")


def _mode(config: Raw) -> str:
    return word(config, "mode", _MODES, "toolConfig.functionCallingConfig.").upper()


def _rest_of_tools(given: Raw, left: Raw) -> None:
    """The fields of toolConfig besides the choice."""
    config = section(given, "toolConfig")
    left |= {f"toolConfig.{key}": value for key, value in config.items() if key != "functionCallingConfig"}
    if (mode := _mode(section(config, "functionCallingConfig"))) == "VALIDATED":
        left["toolConfig.functionCallingConfig.mode"] = mode
