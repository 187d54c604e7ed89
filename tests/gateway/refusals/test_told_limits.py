"""What upstreams tell of their limits when they refuse a request: read from their words, and heeded from then on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.refusals import told_limits
from gateway.refusals.learned_quirks import LearnedQuirks, Quirk
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream
from translate.failures import errors

ASK = {"model": "m", "max_tokens": 32000, "messages": [{"role": "user", "content": "hello"}]}
TOOLS = [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
COMPLETION = {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
              "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
              "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip

READ: list[tuple[str, list[tuple[str, str]]]] = [
    ("max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.",
     [("max_tokens", "16384")]),
    ("max_tokens: 32000 > 8192, which is the maximum allowed number of output tokens for claude-3",
     [("max_tokens", "8192")]),
    ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", [("max_tokens", "8192")]),
    ("max_tokens参数非法：取值范围为[1,16384]", [("max_tokens", "16384")]),
    ("Range of max_tokens should be [1, 8192]", [("max_tokens", "8192")]),
    ("Invalid 'max_output_tokens': integer above maximum value. Expected a value <= 16384, but got 32000 instead.",
     [("max_tokens", "16384")]),
    ("`max_completion_tokens` must be less than or equal to `8192`, the maximum value for `max_completion_tokens` is "
     "less than the `context_window` for this model", [("max_tokens", "8192")]),
    ("Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from 1 "
     "(inclusive) to 65537 (exclusive). Update the value and try again.", [("max_tokens", "65536")]),
    ("The maximum tokens you requested exceeds the model limit of 4096. Try again.", [("max_tokens", "4096")]),
    ("'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 32768 tokens "
     "and your request has 4000 input tokens (32000 > 32768 - 4000).", [("context", "32768 4000")]),
    ("This model's maximum context length is 8192 tokens. However, you requested 33000 tokens (1000 in the messages, "
     "32000 in the completion).", [("context", "8192 1000")]),
    ("This endpoint's maximum context length is 8192 tokens. However, you requested about 33000 tokens (1000 of text "
     "input, 32000 in the output).", [("context", "8192 1000")]),
    ("input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length or "
     "`max_tokens` and try again", [("context", "200000 178959")]),
    ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8900 in the messages, "
     "100 in the completion).", []),  # the prompt alone is too long
    ("Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: 'low', "
     "'medium', and 'high'.", [("reasoning_effort", "low, medium, high")]),
    ("reasoning_effort must be one of `none` or `default`", [("reasoning_effort", "none")]),
    ("[{'type': 'literal_error', 'loc': ('body', 'reasoning_effort'), 'msg': \"Input should be 'low', 'medium' or "
     "'high'\", 'input': 'max'}]", [("reasoning_effort", "low, medium, high")]),
    ("This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.",
     [("reasoning_effort", "high, low, max, medium")]),
    ('output_config.effort "xhigh" is not supported by model claude-opus-4.7; supported values: [medium]',
     [("reasoning_effort", "medium")]),
    ('level "max" not supported, valid levels: low, medium, high, xhigh',
     [("reasoning_effort", "low, medium, high, xhigh")]),
    ("reasoning_effort must be one of the words that the documents list: low is the default", []),
    ("Thinking mode does not support this tool_choice", [("thinking_switch", "thinking")]),
    ("tool_choice 'specified' is incompatible with thinking enabled", [("thinking_switch", "thinking")]),
    ("<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being set to required or "
     "object in thinking mode", [("thinking_switch", "enable_thinking")]),
    ("Function tools with reasoning_effort are not supported for gpt-6-sol in /v1/chat/completions. To use function "
     "tools, use /v1/responses or set reasoning_effort to 'none'.", [("thinking_switch", "reasoning_effort")]),
    ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", []),
    ("messages: at least one message is required", []),
]  # fmt: skip


def openai(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error"}}


@pytest.mark.parametrize(("message", "told"), READ, ids=[row[0][:60] for row in READ])
def test_a_limit_is_read(message: str, told: list[tuple[str, str]]) -> None:
    error = errors.parse(400, json.dumps(openai(message)).encode())
    assert [each[1:] for each in told_limits.read(error)] == told


@pytest.mark.parametrize(
    ("param", "told"), [("reasoning.effort", [("reasoning_effort", "none, low, medium, high")]), ("text.verbosity", [])]
)
def test_efforts_are_read_where_the_message_does_not_name_their_field(param: str, told: list[tuple[str, str]]) -> None:
    """As OpenAI's Responses says it."""
    message = ("Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model. Supported values are: 'none', "
               "'low', 'medium', and 'high'.")  # fmt: skip
    body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": "unsupported_value"}}
    assert [each[1:] for each in told_limits.read(errors.parse(400, json.dumps(body).encode()))] == told


@pytest.mark.parametrize(
    "filler", ["max_tokens ", "max_tokens [1,", "reasoning_effort ", "reasoning_effort input should be", "'low' "]
)
def test_reading_takes_time_in_proportion(filler: str) -> None:
    def cpu_s(size: int) -> float:
        error = errors.ApiError("invalid_request", (filler * size)[:size], 400)
        best = 9.0
        for _ in range(3):
            began = time.process_time()
            list(told_limits.read(error))
            best = min(best, time.process_time() - began)
        return best

    most = told_limits.MAX_READ
    assert cpu_s(most) < 10 * cpu_s(most // 4) + 0.001  # quadratic would be 16 times


def picky(refuses: Callable[[dict[str, Any]], str]) -> Callable[[Request], Answer]:
    """An upstream that refuses a body with the words that `refuses` gives for it."""

    def answer(request: Request) -> Answer:
        words = refuses(request.json)
        return Answer.json(openai(words), 400) if words else Answer.json(COMPLETION)

    return answer


def too_much(body: dict[str, Any]) -> str:
    most = body["max_tokens"]
    return f"max_tokens is too large: {most}. This model supports at most 16384 tokens" if most > 16384 else ""


def over_the_window(body: dict[str, Any]) -> str:
    most, given = body["max_tokens"], 4000  # more than the proxy's estimate: the server's own template
    return (
        f"'max_tokens' is too large: {most}. This model's maximum context length is 32768 tokens and your request has "
        f"{given} input tokens ({most} > 32768 - {given})." if most > 32768 - given else ""
    )  # fmt: skip


def few_efforts(body: dict[str, Any]) -> str:
    refused = body.get("reasoning_effort") not in (None, "low", "high")
    return "'reasoning_effort' does not support that. Supported values are: 'low' and 'high'." if refused else ""


def few_levels(body: dict[str, Any]) -> str:
    refused = body.get("output_config", {}).get("effort") == "xhigh"
    return "This model does not support effort level 'xhigh'. Supported levels: high, low, medium." if refused else ""


def no_choice(body: dict[str, Any]) -> str:
    thinks = body.get("thinking") != {"type": "disabled"}
    return "Thinking mode does not support this tool_choice" if thinks and body.get("tool_choice") == "required" else ""


def no_effort(body: dict[str, Any]) -> str:
    refused = body.get("tools") and body.get("reasoning_effort") != "none"
    return f"Function tools with reasoning_effort are not supported for {body['model']} in Chat" if refused else ""


HEEDED: list[tuple[Callable[[dict[str, Any]], str], dict[str, Any], dict[str, Any], str]] = [
    (too_much, {}, {"max_tokens": 16384}, "its max_tokens is 16384"),
    (over_the_window, {}, {"max_tokens": 28768}, ""),
    (few_efforts, {"output_config": {"effort": "medium"}, "thinking": {"type": "adaptive"}},
     {"reasoning_effort": "high"}, "its reasoning_effort is low, high"),
    (no_choice, {"tools": TOOLS, "tool_choice": {"type": "any"}}, {"thinking": {"type": "disabled"}},
     "its thinking_switch is thinking"),
    (no_effort, {"tools": TOOLS}, {"reasoning_effort": "none"}, "its thinking_switch is reasoning_effort"),
    (no_effort, {"tools": TOOLS, "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
     {"reasoning_effort": "none"}, "its thinking_switch is reasoning_effort"),
]  # fmt: skip


def test_efforts_of_a_messages_upstream_are_heeded() -> None:
    ask = {"model": "claude-opus-9", "input": "hi", "reasoning": {"effort": "xhigh"}}
    with Upstream(picky(few_levels)) as up, House(one_upstream(up.url, "messages")) as house:
        for _ in range(2):
            house.post("/v1/responses", ask)
        assert [request.json["output_config"]["effort"] for request in up.requests] == ["xhigh", "high", "high"]


@pytest.mark.parametrize(("refuses", "said", "sent", "known"), HEEDED)
def test_it_is_heeded_at_once_and_from_then_on(
    refuses: Callable[[dict[str, Any]], str], said: dict[str, Any], sent: dict[str, Any], known: str
) -> None:
    with Upstream(picky(refuses)) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/messages", ASK | said)[0] == 200 and len(up.requests) == 2
        assert up.requests[1].json.items() >= sent.items()
        assert house.post("/v1/messages", ASK | said)[0] == 200 and len(up.requests) == 3
        assert up.requests[2].json.items() >= sent.items()
        if known:
            assert house.on_loop(lambda: house.proxy.service.quirks.all()) == {"up/m": [known]}


def test_an_effort_that_stands_beside_no_tools_is_still_told() -> None:
    effort = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}, "model": "gpt-5.6-luna"}
    with Upstream(picky(no_effort)) as up, House(one_upstream(up.url, "chat")) as house:
        status, headers, _ = house.post("/v1/messages", ASK | effort | {"tools": TOOLS})
        assert (status, headers["x-proxy-dropped"], len(up.requests)) == (200, "output_config.effort", 2)
        house.post("/v1/messages", ASK | effort)
        assert up.requests[2].json["reasoning_effort"] == "high"
        never = {"model": "gpt-6-astra", "tools": TOOLS}
        assert [house.post("/v1/messages", ASK | effort | never)[0] for _ in range(2)] == [400, 400]
        assert len(up.requests) == 5  # it always thinks, so that nothing else could be sent


def test_a_picture_fills_no_context() -> None:
    """It is some thousand tokens, however many bytes it has."""
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA" * 50_000}
    seen = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    with Upstream(picky(over_the_window)) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/messages", ASK | {"messages": seen})[0] == 200 and len(up.requests) == 2
        assert up.requests[1].json["max_tokens"] == 28768


def test_less_than_the_limit_stays_as_it_is() -> None:
    with Upstream(picky(too_much)) as up, House(one_upstream(up.url, "chat")) as house:
        house.post("/v1/messages", ASK)
        house.post("/v1/messages", ASK | {"max_tokens": 50})
        assert up.requests[2].json["max_tokens"] == 50


def test_who_says_those_words_teaches_nothing() -> None:
    words = "max_tokens is too large: 32000. This model supports at most 1000 tokens"
    ask = ASK | {"messages": [{"role": "user", "content": words}]}
    with Upstream([Answer.json(openai(words), 400)]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/messages", ask)[0] == 400 and len(up.requests) == 1


def test_another_fields_limit_is_not_that_of_the_reply() -> None:
    words = "max_tokens: must be a number; stop: List should have at most 4 items"
    with Upstream([Answer.json(openai(words), 400)]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/messages", ASK)[0] == 400 and len(up.requests) == 1
        assert house.on_loop(lambda: house.proxy.service.quirks.all()) == {}


def test_of_a_setting_the_last_word_counts() -> None:
    quirks = LearnedQuirks()
    first, second = Quirk("[upstream] max_tokens", "9"), Quirk("[upstream] max_tokens", "7")
    assert quirks.learn("up", "m", first) and quirks.learn("up", "m", second)
    assert quirks.of("up", "m") == [second]


def test_of_several_clients_each_has_its_own_last_word() -> None:
    """How much there is beside a prompt is told in each refusal anew: one client's must not cost another's."""
    quirks = LearnedQuirks()
    quirks.several = True
    one, other = quirks.of_client("one"), quirks.of_client("other")
    lessons = [Quirk("[upstream] context", value) for value in ("9000", "8000", "7000")]
    assert one.learn("up", "m", lessons[0]) and other.learn("up", "m", lessons[1]) and one.learn("up", "m", lessons[2])
    assert (one.of("up", "m"), other.of("up", "m")) == ([lessons[2]], [lessons[1]])


@pytest.mark.parametrize(("protocol", "model"), [("chat", "kimi-k2.7-code"), ("messages", "m")])
def test_what_changes_nothing_is_not_sent_again(protocol: str, model: str) -> None:
    """A model that always thinks, and a protocol in which nobody is told by that setting."""
    ask = ASK | {"model": model, "tools": TOOLS, "tool_choice": {"type": "any"}}
    path = "/v1/messages"
    if protocol == "messages":
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        ask = {"model": model, "messages": ASK["messages"], "tool_choice": "required", "tools": [tool]}
        path = "/v1/chat/completions"
    refused = Answer.json(openai("tool_choice 'specified' is incompatible with thinking enabled"), 400)
    with Upstream(lambda request: refused) as up, House(one_upstream(up.url, protocol)) as house:
        assert [house.post(path, ask)[0] for _ in range(2)] == [400, 400] and len(up.requests) == 2
        assert house.on_loop(lambda: house.proxy.service.quirks.all()) == {}
