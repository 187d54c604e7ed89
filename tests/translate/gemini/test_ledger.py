"""The ledger of Gemini's clients against google-genai's own types, and against what the translators really do."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

import pytest
from google.genai import models, types

from tests.support.crossed import MODELS
from translate import dialects, pair
from translate.failures.errors import BadRequest
from translate.gemini.ledger import LEDGER
from translate.target import Encoded, Target

UPSTREAMS = ("messages", "chat", "responses")
SCHEMA = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
PNG = {"mimeType": "image/png", "data": "eA=="}

BASE: dict[str, Any] = {
    "model": "m",
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": SCHEMA}]}],
}
FIELDS: dict[str, Any] = {
    "model": "other",
    "contents": [{"role": "user", "parts": [{"text": "other"}]}],
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "tools": [{"functionDeclarations": [{"name": "g", "parametersJsonSchema": {"type": "object"}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    "generationConfig": {"temperature": 0.5},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "cachedContent": "cachedContents/x",
    "continuationToken": "eA==",
    "labels": {"a": "b"},
    "serviceTier": "flex",
    "store": True,
    "stream": True,
}
CONFIG: dict[str, Any] = {
    "maxOutputTokens": 77, "temperature": 0.5, "topP": 0.5, "topK": 5, "stopSequences": ["END"], "seed": 1,
    "presencePenalty": 0.5, "frequencyPenalty": 0.5, "responseMimeType": "application/json",
    "responseSchema": SCHEMA, "responseJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
    "candidateCount": 2,
    "thinkingConfig": {"thinkingLevel": "low"}, "responseModalities": ["IMAGE"],
}  # fmt: skip
BESIDE_JSON = ("responseSchema", "responseJsonSchema")
PARTS: dict[str, Any] = {
    "text": {"text": "x"},
    "inlineData": {"inlineData": PNG},
    "fileData": {"fileData": {"fileUri": "https://x.test/a.png", "mimeType": "image/png"}},
    "functionCall": {"functionCall": {"name": "f", "args": {"a": "x"}}},
    "functionResponse": {"functionResponse": {"name": "f", "response": {"output": "done"}}},
    "thought": {"text": "hm", "thought": True},
    "thoughtSignature": {"functionCall": {"name": "f", "args": {"a": "x"}}, "thoughtSignature": "c2ln"},
    "executableCode": {"executableCode": {"code": "print(1)", "language": "PYTHON"}},
    "codeExecutionResult": {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
    "toolCall": {"toolCall": {"toolType": "URL_CONTEXT", "args": {"url": "https://x.test"}}},
    "toolResponse": {"toolResponse": {"toolType": "URL_CONTEXT", "response": {"text": "found"}}},
    "audioTranscription": {"audioTranscription": {"text": "spoken"}},
}
SEARCHES = {"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch"}


def known() -> set[str]:
    """All that the SDK can say in a request to the Gemini API, by the names on the wire."""
    source = inspect.getsource(models._GenerateContentConfig_to_mldev)
    source += inspect.getsource(models._GenerateContentParameters_to_mldev)
    top = set(re.findall(r"setv\(\s*parent_object,\s*\['(\w+)'\]", source)) | {"contents", "generationConfig", "model"}
    config = set(re.findall(r"setv\(\s*to_object,\s*\['(\w+)'\]", source)) - top
    config |= {each.alias or name for name, each in types.GenerationConfig.model_fields.items()}
    parts = {each.alias or name for name, each in types.Part.model_fields.items()}
    tools = {each.alias or name for name, each in types.Tool.model_fields.items()}
    return (
        top | {f"generationConfig.{each}" for each in config} | {f"block:{each}" for each in parts}
        | {f"tool:{each}" for each in tools} | {"role:user", "role:model", "stream"}
    )  # fmt: skip


KNOWN = sorted(known())


def test_everything_that_the_sdk_can_say_has_a_row_and_no_other() -> None:
    rows = LEDGER.rows("chat").keys()
    assert sorted(set(KNOWN) - rows) == [], "new in the SDK: say in ledger.py what becomes of it"
    assert sorted(rows - set(KNOWN)) == [], "not in the SDK any more"
    assert len(KNOWN) >= 75


def crossed(upstream: str, body: dict[str, Any]) -> Encoded | BadRequest:
    try:
        return pair.request("gemini", upstream, copy.deepcopy(body), Target(MODELS[upstream]))
    except BadRequest as why:
        return why


def said(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request without it, and with it."""
    group, colon, own = name.partition(":")
    section, dot, field = name.partition(".")
    if dot:
        beside = {"responseMimeType": "application/json"} if field in BESIDE_JSON else {}
        if field == "responseMimeType":  # without a schema it is asked for in words, here and there
            beside = {"responseSchema": SCHEMA}
            return BASE, BASE | {section: beside | {field: CONFIG[field]}}
        return BASE | {section: beside}, BASE | {section: beside | {field: CONFIG.get(field, "x")}}
    if not colon:
        return BASE, BASE | {name: FIELDS[name]}
    if group == "tool":
        value = {own: [{"name": "g"}] if own == "functionDeclarations" else {}}
        return BASE, BASE | {"tools": [*BASE["tools"], value]}
    if group == "role":
        return BASE, BASE | {"contents": [{"role": own, "parts": [{"text": "x"}]}, *BASE["contents"]]}
    first, last = BASE["contents"][0], {"role": "user", "parts": [{"text": "go on"}]}
    call, result = ({"role": "model", "parts": [PARTS["functionCall"]]},
                    {"role": "user", "parts": [PARTS["functionResponse"]]})  # fmt: skip
    if own in ("functionCall", "functionResponse"):
        return BASE | {"contents": [first, last]}, BASE | {"contents": [first, call, result, last]}
    if own == "thoughtSignature":
        signed = {"role": "model", "parts": [PARTS[own]]}
        return BASE | {"contents": [first, call, result]}, BASE | {"contents": [first, signed, result]}
    role = "user" if own in ("text", "inlineData", "fileData") or own not in PARTS else "model"
    part = PARTS.get(own, {"inlineData": PNG, own: {"x": 1}})
    before = [{"inlineData": PNG}] if own not in PARTS else []
    middle = [{"role": role, "parts": before}] if before else []
    given = {"role": role, "parts": [part]}
    return BASE | {"contents": [first, *middle, last]}, BASE | {"contents": [first, given, last]}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_it_comes_as_the_row_says(upstream: str, name: str) -> None:
    row = LEDGER.rows(upstream)[name]
    before, after = (crossed(upstream, body) for body in said(name))
    assert isinstance(before, Encoded), before
    if row.fate == "refused":
        assert isinstance(after, BadRequest) and name.rpartition(":")[2] in after.message and row.note
        return
    assert isinstance(after, Encoded), after
    told = set(after.dropped) - set(before.dropped)
    if row.fate == "dropped":
        assert told & {name, name.rpartition(":")[2], name.replace("tool:", "tools."), "contents.parts.thought"}, told
        assert row.note and before.body == after.body
        return
    if name in ("block:thoughtSignature", "model"):
        return  # tests/gateway/flow/test_gemini.py has what becomes of them
    assert told == set()
    if row.fate == "carried":
        assert after.body[name] != before.body.get(name)
        return
    words = [word.strip(",;") for word in row.note.split()]
    changed = {key for key in after.body if after.body[key] != before.body.get(key)}
    assert changed & {word.partition(".")[0] for word in words} or name == "generationConfig", (changed, row.note)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_snake_case_says_the_same(upstream: str) -> None:
    """Google takes both spellings, but for what is the client's own."""
    body = BASE | {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "generationConfig": {"maxOutputTokens": "77", "topP": 0.5, "responseMimeType": "application/json",
                             "responseSchema": {"type": "OBJECT", "properties": {"my_name": {"type": "STRING"}}}},
        "toolConfig": {"functionCallingConfig": {"mode": "any", "allowedFunctionNames": ["f"]}},
        "contents": [
            {"parts": [{"text": "hi"}, {"inlineData": PNG}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"some_key": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"other_key": 2}}}]},
        ],
    }  # fmt: skip
    snake = BASE | {
        "system_instruction": body["systemInstruction"],
        "tools": [{"function_declarations": BASE["tools"][0]["functionDeclarations"]}],
        "generation_config": {"max_output_tokens": 77, "top_p": 0.5, "response_mime_type": "application/json",
                              "response_schema": body["generationConfig"]["responseSchema"]},
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "contents": [
            {"parts": [{"text": "hi"}, {"inline_data": {"mime_type": "image/png", "data": "eA=="}}]},
            {"role": "model", "parts": [{"function_call": {"name": "f", "args": {"some_key": 1}}}]},
            {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"other_key": 2}}}]},
        ],
    }  # fmt: skip
    one, other = crossed(upstream, body), crossed(upstream, snake)
    assert isinstance(one, Encoded) and isinstance(other, Encoded)
    assert one.body == other.body and "some_key" in str(one.body) and "my_name" in str(one.body)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_what_is_within_a_thing_that_crosses_is_told_where_it_stays(upstream: str) -> None:
    result = {"name": "f", "response": {"output": "x"}, "scheduling": "SILENT", "willContinue": True}
    body = BASE | {
        "contents": [*BASE["contents"], {"role": "model", "parts": [PARTS["functionCall"]]},
                     {"role": "user", "parts": [{"functionResponse": result}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "behavior": "NON_BLOCKING", "response": SCHEMA}]},
                  {"googleSearch": {"excludeDomains": ["x.test"], "timeRangeFilter": {"startTime": "x"}}}],
        "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", "streamFunctionCallArguments": True},
                       "retrievalConfig": {"languageCode": "de"}},
    }  # fmt: skip
    sent = crossed(upstream, body)
    assert isinstance(sent, Encoded)
    search = {"tools.googleSearch"} if upstream == "chat" else {"tools.googleSearch.timeRangeFilter"}
    blocked = {"tools.googleSearch.blocked_domains"} if upstream == "responses" else set()
    assert set(sent.dropped) == search | blocked | {
        "functionResponse.scheduling", "functionResponse.willContinue", "functionDeclarations.behavior",
        "functionDeclarations.response", "toolConfig.functionCallingConfig.mode",
        "toolConfig.functionCallingConfig.streamFunctionCallArguments", "toolConfig.retrievalConfig",
    }  # fmt: skip


def test_reasons_are_fit_to_be_read() -> None:
    """No name twice, no cell without its mark."""
    lines = LEDGER.text.strip().splitlines()[1:]
    names = [name for line in lines for name in line.split("|")[0].split()]
    assert len(names) == len(set(names))
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        assert 2 <= len(cells) <= 4 and all(cell[0] in "=~-!" for cell in cells[1:] if cell), line


def test_every_protocol_is_asked() -> None:
    assert set(UPSTREAMS) == set(dialects.names()) - {"gemini"}
