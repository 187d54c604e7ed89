"""What upstreams say when they refuse a field is read from their words, and a client's own words are not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.refusals import refused_fields, strip_fields
from gateway.refusals.learned_quirks import Quirk
from gateway.refusals.refused_fields import read
from translate.failures import errors

SENT = {"model": "m", "messages": [], "max_tokens": 5, "temperature": 0.5, "top_p": 1, "seed": 1, "user": "u",
        "stream_options": {}, "reasoning_effort": "low", "reasoning": {"effort": "low", "summary": "auto"},
        "parallel_tool_calls": True, "tools": [], "tool_choice": "auto", "web_search_options": {}, "stream": True,
        "response_format": {}, "prompt_cache_key": "k", "presence_penalty": 1}  # fmt: skip


def openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def pydantic(*where: str) -> list[dict[str, Any]]:
    return [{"type": "extra_forbidden", "loc": list(where), "msg": "Extra inputs are not permitted", "input": 1}]


TOLD: list[tuple[Any, list[Quirk]]] = [
    (openai("Unsupported parameter: 'temperature' is not supported with this model."), [Quirk("temperature")]),
    (openai("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.", "max_tokens", "unsupported_parameter"), [Quirk("max_tokens", "max_completion_tokens")]),
    (openai("Unsupported parameter: 'reasoning.summary' is not supported with this model."),
     [Quirk("reasoning.summary")]),
    (openai("Unrecognized request argument supplied: user"), [Quirk("user")]),
    (openai("Unrecognized request arguments supplied: user, seed"), [Quirk("user"), Quirk("seed")]),
    (openai("Unknown parameter: 'prompt_cache_key'."), [Quirk("prompt_cache_key")]),
    (openai("Web search options not supported with this model.", "web_search_options"), [Quirk("web_search_options")]),
    (openai("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is "
            "supported.", "temperature", "unsupported_value"), [Quirk("temperature")]),
    ({"type": "error", "error": {"type": "invalid_request_error", "message": "seed: Extra inputs are not permitted"}},
     [Quirk("seed")]),
    ({"error": {"message": "property 'user' is unsupported", "type": "invalid_request_error"}}, [Quirk("user")]),
    ({"error": {"message": "'reasoning_effort' is not supported with this model"}}, [Quirk("reasoning_effort")]),
    ({"object": "error", "message": {"detail": pydantic("body", "stream_options")}, "type": "invalid_request_error"},
     [Quirk("stream_options")]),
    ({"detail": pydantic("body", "user") + pydantic("body", "seed")}, [Quirk("user"), Quirk("seed")]),
    ({"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are "
      "not permitted'}]"}, [Quirk("seed")]),
    ([{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \"seed\": Cannot find field."}}],
     [Quirk("seed")]),
    ({"code": "invalid-argument", "error": "Argument not supported on this model: presencePenalty"},
     [Quirk("presence_penalty")]),
    (openai("Failed to deserialize the JSON body: unknown field `seed`, expected one of `model`"), [Quirk("seed")]),
    (openai("Extra inputs are not permitted, field: 'user', value: 'u'"), [Quirk("user")]),
    ({"message": "Malformed input request: #: extraneous key [user] is not permitted, please reformat your input."},
     [Quirk("user")]),
    (openai("invalid temperature: only 1 is allowed for this model"), [Quirk("temperature")]),
    (openai("Your organization must be verified to generate reasoning summaries.", "reasoning.summary",
            "unsupported_value"), [Quirk("reasoning.summary")]),
    (openai('"llama3.2" does not support thinking'), [Quirk("reasoning_effort")]),
    (openai("This model does not support the effort parameter."), [Quirk("reasoning_effort")]),
    ({"error": {"message": "`temperature` is deprecated for this model."}}, [Quirk("temperature")]),
    ({"error": {"message": "top_p is no longer supported by this model"}}, [Quirk("top_p")]),
    ({"error": {"message": "`temperature` and `top_p` cannot both be specified for this model. Please use only one."}},
     [Quirk("top_p", beside="temperature")]),
    (openai("cannot specify both 'temperature' and 'top_p'"), [Quirk("top_p", beside="temperature")]),
    ({"error": {"message": "`temperature` and `top_k` cannot both be specified for this model."}}, []),
    ({"error": {"message": "`seed` and `tools` cannot both be specified"}}, []),
    # Nothing to learn: not in the body, deeper in it, a value rather than a field, or what the request is about.
    (openai("Unsupported parameter: 'logprobs' is not supported with this model."), []),
    (openai("Unsupported value: 'messages[0].role' does not support 'developer' with this model.",
            "messages[0].role", "unsupported_value"), []),
    (openai("Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: "
            "'low', 'medium', and 'high'.", "reasoning_effort", "unsupported_value"), []),
    (openai("Unknown parameter: 'input[1].namespace'."), []),
    (openai("Unsupported parameter: 'tools' is not supported with this model.", "tools", "unsupported_parameter"), []),
    (openai("'response_format' is not supported with this model"), []),
    ({"detail": pydantic("body", "messages", "0", "name")}, []),
    (openai("This model's maximum context length is 1048565 tokens."), []),
    ("not JSON at all: seed", []),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), TOLD)
def test_a_refusal_is_read(body: Any, wanted: list[Quirk]) -> None:
    raw = json.dumps(body).encode()
    assert read(errors.parse(400, raw, "application/json"), raw, SENT) == wanted


@pytest.mark.parametrize(
    ("words", "sent", "field"),
    [
        ("adaptive thinking is not supported on this model", {"thinking": {"type": "adaptive"}}, "thinking"),
        ('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
         '"output_config.effort" to control thinking behavior.', {"thinking": {"type": "enabled"}}, "thinking"),
        ("chat_template is not supported for Mistral tokenizers.",
         {"chat_template_kwargs": {"enable_thinking": True}}, "chat_template_kwargs"),
        ("This model does not support the effort parameter.", {"output_config": {"effort": "low"}},
         "output_config.effort"),
        ("invalid thinking: only type=enabled is allowed for this model", {"thinking": {"type": "disabled"}},
         "thinking"),
        ("Thinking level is not supported for this model.", {"generationConfig": {"thinkingConfig": {}}},
         "generationConfig.thinkingConfig"),
        ("Thinking level MINIMAL is not supported for this model. Please retry with other thinking level.",
         {"generationConfig": {"thinkingConfig": {}}}, "generationConfig.thinkingConfig"),
        ("minimal is not a supported thinking level", {"generationConfig": {"thinkingConfig": {}}},
         "generationConfig.thinkingConfig"),
        ("Invalid JSON payload received. Unknown name \"includeServerSideToolInvocations\" at 'tool_config': Cannot "
         "find field.", {"toolConfig": {"includeServerSideToolInvocations": True}},
         "toolConfig.includeServerSideToolInvocations"),
        ("Budget 0 is invalid. This model only works in thinking mode.", {"generationConfig": {"thinkingConfig": {}}},
         "generationConfig.thinkingConfig"),
    ],
)  # fmt: skip
def test_how_much_is_thought_may_be_refused(words: str, sent: dict[str, Any], field: str) -> None:
    raw = json.dumps(openai(words)).encode()
    assert read(errors.parse(400, raw), raw, sent) == [Quirk(field)]


STRICT_IN = {"chat": [{"type": "function", "function": {"name": "f", "strict": True}}],
             "messages": [{"name": "f", "input_schema": {"type": "object"}, "strict": True}]}  # fmt: skip
DEEP = {"type": "extra_forbidden", "loc": ["body", "tools", 0, "function", "strict"], "msg": "no"}


@pytest.mark.parametrize("protocol", STRICT_IN)
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "tools.0.custom.strict: Extra inputs are not permitted"}},
        openai("Unknown parameter: 'tools[0].function.strict'.", "tools[0].function.strict", "unknown_parameter"),
        openai("Extra inputs are not permitted, field: 'tools[12].function.strict', value: True"),
        openai("property 'tools.0.function.strict' is unsupported"),
        {"detail": [DEEP]},
    ],
)
def test_that_calls_must_fit_may_be_refused(body: Any, protocol: str) -> None:
    raw = json.dumps(body).encode()
    error = errors.parse(400, raw)
    assert read(error, raw, SENT | {"tools": STRICT_IN[protocol]}) == [Quirk("tools.strict")]
    assert read(error, raw, SENT) == []
    named = [{"type": "function", "function": {"name": "strict", "parameters": {"properties": {"strict": {}}}}}]
    assert read(error, raw, SENT | {"tools": named}) == []


def test_labels_of_what_the_model_has_said_may_be_refused() -> None:
    raw = json.dumps(openai("Unknown parameter: 'input[11].phase'.", "input[11].phase", "unknown_parameter")).encode()
    said = {"type": "message", "role": "assistant", "content": "x"}
    error = errors.parse(400, raw)
    assert read(error, raw, SENT | {"input": [said | {"phase": "commentary"}]}) == [Quirk("input.phase")]
    assert read(error, raw, SENT | {"input": [said]}) == []


THOUGHTS, LIKELY = "reasoning.encrypted_content", "message.output_text.logprobs"
NO_LOGPROBS = openai("logprobs are not supported with reasoning models.", "include", "unsupported_parameter")
NO_THOUGHTS = openai("Encrypted content is not supported with this model.", "include")


@pytest.mark.parametrize(
    ("body", "sent", "wanted"),
    [
        (NO_LOGPROBS, {"include": [THOUGHTS, LIKELY], "top_logprobs": 2}, [f"include.{LIKELY}", "top_logprobs"]),
        (NO_LOGPROBS, {"include": [THOUGHTS]}, []),
        (NO_THOUGHTS, {"include": [THOUGHTS, LIKELY], "top_logprobs": 2}, [f"include.{THOUGHTS}"]),
        (openai("Unknown parameter: 'include'."), {"include": [THOUGHTS, LIKELY]}, ["include"]),
        (openai("Unsupported parameter: 'logprobs' is not supported with this model."),
         {"logprobs": True, "top_logprobs": 2}, ["logprobs", "top_logprobs"]),
    ],
)  # fmt: skip
def test_of_what_is_to_be_included_a_word_may_be_refused(body: Any, sent: dict[str, Any], wanted: list[str]) -> None:
    raw = json.dumps(body).encode()
    assert read(errors.parse(400, raw), raw, sent) == [Quirk(field) for field in wanted]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"include": ["a", "b"],"x":1}', b'{"include":["b"],"x":1}'),
        (b'{"x":1, "include" : [ "a" ]}', b'{"x":1}'),
        (b'{"include":["a","\\ud800"],"x":"\xc3\xa9"}', '{"include":["\ufffd"],"x":"\u00e9"}'.encode()),
        *((kept, kept) for kept in (
            b'{"include":"a"}', b'{"x":["a"]}', b'{"include":["a"', b'["a"]', b'{"include":["a"],"include":["b"]}',
        )),
    ],
)  # fmt: skip
def test_a_word_is_cut_out_of_bytes(body: bytes, left: bytes) -> None:
    assert strip_fields.without_word(body, "include", "a") == (left, [] if left == body else ["include"])


def test_of_tools_nothing_else_may_be_refused() -> None:
    for words in (
        "tools.0.custom.input_schema: Extra inputs are not permitted",
        "tools.0.custom.strict: Input should be a valid boolean",
        "tools.0.custom.description: strict is not permitted",
    ):
        raw = json.dumps(openai(words)).encode()
        assert read(errors.parse(400, raw), raw, SENT | {"tools": STRICT_IN["messages"]}) == []


def test_a_choice_that_forces_a_tool_is_kept() -> None:
    raw = json.dumps(openai("Unrecognized request argument supplied: tool_choice")).encode()
    error = errors.parse(400, raw)
    assert read(error, raw, SENT) == [Quirk("tool_choice")]
    assert read(error, raw, SENT | {"tool_choice": "required"}) == []


def test_a_form_that_is_due_is_kept() -> None:
    raw = json.dumps({"error": {"message": "output_config: Extra inputs are not permitted"}}).encode()
    error = errors.parse(400, raw)
    assert read(error, raw, {"output_config": {"effort": "low"}}) == [Quirk("output_config")]
    assert read(error, raw, {"output_config": {"effort": "low", "format": {}}}) == []


@pytest.mark.parametrize("field", ["messages", "input", "contents", "system", "systemInstruction", "instructions"])
def test_a_prompt_is_kept(field: str) -> None:
    """A server of another kind than its settings say refuses each request. Without a prompt, others would answer."""
    sent = {"model": "m", field: [], "extra": 1}
    for words in (
        f'Invalid JSON payload received. Unknown name "extra": Cannot find field. Unknown name "{field}": Cannot find '
        "field.",
        f"Unrecognized request arguments supplied: {field}, extra",
    ):
        raw = json.dumps(openai(words)).encode()
        assert read(errors.parse(400, raw), raw, sent) == [Quirk("extra")]


def test_an_error_without_measure_is_not_read() -> None:
    nested = b"[" * 900 + b"]" * 900
    deep = b'{"error": {"message": "no"}, "detail": ' + nested + b"}"
    assert read(errors.parse(400, deep), deep, SENT) == []
    long = json.dumps({"detail": pydantic("body", "seed"), "more": "x" * 100_000}).encode()
    assert read(errors.parse(400, b'{"error": "no"}'), long, SENT) == []


@pytest.mark.parametrize("filler", ["x", "a.", "a ", "'a", "a and "])
def test_reading_an_error_takes_time_in_proportion_to_its_length(filler: str) -> None:
    def cpu_s(size: int) -> float:
        error = errors.ApiError("invalid_request", (filler * size)[:size], 400)
        best = 9.0
        for _ in range(3):
            began = time.process_time()
            read(error, b"", {"a": 1})
            best = min(best, time.process_time() - began)
        return best

    # quadratic would be 16 times
    assert cpu_s(refused_fields.MAX_READ) < 10 * cpu_s(refused_fields.MAX_READ // 4) + 0.001


PHRASES = [
    "Unsupported parameter: {}", "unknown field {}", "property {} is unsupported",
    "'{}' is not supported with this model",
    "{}: Extra inputs are not permitted", "it's \"unknown field {}\"", "('body', '{}')", "UNKNOWN PARAMETER: {}",
]  # fmt: skip
PLACES: list[Callable[[str], dict[str, Any]]] = [
    lambda said: {"stop_sequences": [said]},
    lambda said: {"tools": [{"name": "t", "description": said, "input_schema": {"type": "object"}}]},
    lambda said: {"tools": [{"name": "t", "input_schema": {"type": "object", "properties": {said: {}}}}]},
    lambda said: {"metadata": {"user_id": said}},
    lambda said: {"system": said},
]


@pytest.mark.parametrize("quote", [str, repr, json.dumps, lambda said: said.upper() + " " + said])
@pytest.mark.parametrize("place", range(len(PLACES)))
@pytest.mark.parametrize("phrase", PHRASES)
def test_what_a_client_says_itself_teaches_nothing(phrase: str, place: int, quote: Callable[[str], str]) -> None:
    said = phrase.format("temperature")
    sent = {"temperature": 0.5, "messages": []} | PLACES[place](said)
    error = errors.parse(400, json.dumps({"error": {"message": f"invalid input: {quote(said)}"}}).encode())
    assert read(error, b"{}", sent) == []


def test_a_quoted_object_teaches_nothing() -> None:
    own = {"type": "extra_forbidden", "loc": ["body", "temperature"]}
    raw = json.dumps({"detail": [{"type": "value_error", "loc": ["body", "metadata"], "input": own, "ctx": own}]})
    assert read(errors.parse(422, raw.encode()), raw.encode(), {"temperature": 1, "metadata": own}) == []


GOOGLES = {"error": {"code": 400, "message": "Penalty is not enabled for models/m", "status": "INVALID_ARGUMENT"}}


def test_googles_word_for_both_penalties() -> None:
    raw = json.dumps(GOOGLES).encode()
    error = errors.parse(400, raw)
    config = {"temperature": 1, "frequencyPenalty": 0.5, "presencePenalty": 1}
    wanted = [Quirk("generationConfig.frequencyPenalty"), Quirk("generationConfig.presencePenalty")]
    assert read(error, raw, {"generationConfig": config}) == wanted
    assert read(error, raw, {"presence_penalty": 1}) == [Quirk("presence_penalty")]  # in its OpenAI form
    asked = {"generationConfig": config, "contents": [{"parts": [{"text": GOOGLES["error"]["message"]}]}]}
    assert read(error, raw, asked) == []  # the user's own words
