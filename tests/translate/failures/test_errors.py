"""Errors: read from whatever upstreams send, written in the client's dialect.

Tables: a body and its status -> kind, status, message, param, code; an error -> each protocol's body and event.
"""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from openai.types.responses import ResponseError

from tests.linear.work import grows_linearly
from translate import dialects
from translate.failures import errors
from translate.failures.errors import ApiError, BadReply, BadRequest
from translate.responses import fault

MESSAGES, CHAT, RESPONSES, GEMINI = (dialects.of(name).errors for name in ("messages", "chat", "responses", "gemini"))

OPENAI = {"message": "no", "type": "invalid_request_error", "param": "p", "code": "c"}

# (status, body) -> (kind, status, message, param, code)
READ: list[tuple[int, Any, tuple[Any, ...]]] = [
    (400, {"error": OPENAI}, ("invalid_request", 400, "no", "p", "c")),
    (401, {"error": {"message": "no"}}, ("authentication", 401, "no", None, None)),
    (402, {"error": {"message": "no"}}, ("billing", 402, "no", None, None)),
    (403, {"error": {"message": "no"}}, ("permission", 403, "no", None, None)),
    (404, {"error": {"message": "no"}}, ("not_found", 404, "no", None, None)),
    (405, {"error": {"message": "no"}}, ("invalid_request", 405, "no", None, None)),
    (408, {"error": {"message": "no"}}, ("timeout", 408, "no", None, None)),
    (409, {"error": {"message": "no"}}, ("conflict", 409, "no", None, None)),
    (413, {"error": {"message": "no"}}, ("too_large", 413, "no", None, None)),
    (418, {"error": {"message": "no"}}, ("invalid_request", 418, "no", None, None)),
    (422, {"detail": "no"}, ("invalid_request", 422, "no", None, None)),
    (422, {"detail": [{"loc": ["a"]}]}, ("invalid_request", 422, '[{"loc":["a"]}]', None, None)),
    (429, {"error": {"message": "no"}}, ("rate_limit", 429, "no", None, None)),
    (429, {"error": {"message": "no", "code": "insufficient_quota"}},
     ("billing", 429, "no", None, "insufficient_quota")),
    (500, {"error": {"message": "no"}}, ("api", 500, "no", None, None)),
    (499, {"error": {"message": "no"}}, ("invalid_request", 499, "no", None, None)),
    (501, {"error": {"message": "no"}}, ("api", 501, "no", None, None)),
    (502, {"error": {"message": "no"}}, ("upstream", 502, "no", None, None)),
    (503, {"error": {"message": "no"}}, ("overloaded", 503, "no", None, None)),
    (504, {"error": {"message": "no"}}, ("timeout", 504, "no", None, None)),
    (529, {"error": {"message": "no", "type": "overloaded_error"}}, ("overloaded", 529, "no", None, None)),
    # The vague statuses, 400 and 500, leave the word to the body; the others do not.
    (400, {"error": {"message": "no", "type": "rate_limit_error"}}, ("rate_limit", 400, "no", None, None)),
    (500, {"error": {"message": "no", "code": "model_not_found"}}, ("not_found", 500, "no", None, "model_not_found")),
    (500, {"error": {"message": "no", "type": "overloaded_error"}}, ("overloaded", 500, "no", None, None)),
    (403, {"error": {"message": "no", "type": "rate_limit_error"}}, ("permission", 403, "no", None, None)),
    # No status: a stream's. The body's own numbers count.
    (0, {"error": {"message": "no", "code": 429}}, ("rate_limit", 429, "no", None, None)),
    (0, {"error": {"message": "no", "code": "503"}}, ("overloaded", 503, "no", None, None)),
    (0, {"error": {"message": "no", "status_code": 404}}, ("not_found", 404, "no", None, None)),
    (0, {"error": {"message": "no", "http_code": "401"}}, ("authentication", 401, "no", None, None)),
    (0, {"error": {"message": "no", "status": 402}}, ("billing", 402, "no", None, None)),
    (0, {"error": {"message": "no", "code": 599}}, ("api", 599, "no", None, None)),
    (0, {"error": {"message": "no", "code": 400}}, ("invalid_request", 400, "no", None, None)),
    (0, {"error": {"message": "no", "code": 600}}, ("api", 500, "no", None, None)),
    (0, {"error": {"message": "no", "code": 399}}, ("api", 500, "no", None, None)),
    (0, {"error": {"message": "no", "code": []}}, ("api", 500, "no", None, "[]")),
    (0, {"error": {"message": "no"}}, ("api", 500, "no", None, None)),
    # MiniMax has a status of its own.
    (0, {"base_resp": {"status_code": 1002, "status_msg": "no"}}, ("rate_limit", 429, "no", None, None)),
    (0, {"base_resp": {"status_code": 1004, "status_msg": "no"}}, ("authentication", 401, "no", None, None)),
    (0, {"base_resp": {"status_code": 1008, "status_msg": "no"}}, ("billing", 402, "no", None, None)),
    (0, {"base_resp": {"status_code": 1013, "status_msg": "no"}}, ("api", 500, "no", None, None)),
    (0, {"base_resp": {"status_code": 1026, "status_msg": "no"}}, ("invalid_request", 400, "no", None, None)),
    (0, {"base_resp": {"status_code": "2013"}}, ("invalid_request", 400, "2013", None, None)),
    (422, {"base_resp": {"status_code": 1002, "status_msg": "no"}}, ("invalid_request", 422, "no", None, None)),
    # So have others.
    (0, {"code": 1000, "msg": "no", "success": False}, ("authentication", 401, "no", None, None)),
    (0, {"error": {"code": "1211", "message": "no"}}, ("not_found", 404, "no", None, None)),
    (400, {"error": {"code": "1211", "message": "no"}}, ("not_found", 404, "no", None, None)),
    (400, {"error": {"code": "1261", "message": "no"}}, ("context_overflow", 400, "no", None, None)),
    (0, {"error": {"code": "1301", "message": "no"}}, ("invalid_request", 400, "no", None, None)),
    (429, {"error": {"code": "1113", "message": "no"}}, ("billing", 429, "no", None, None)),
    (500, {"error": {"code": "1305", "message": "no"}}, ("overloaded", 500, "no", None, None)),
    (500, {"object": "error", "code": "1000", "message": "no"}, ("api", 500, "no", None, None)),
    (0, {"object": "error", "type": "internal_server_error", "code": "1000", "message": "no"},
     ("api", 500, "no", None, None)),
    (0, {"object": "error", "type": "rate_limited", "code": "1300", "message": "no"},
     ("rate_limit", 429, "no", None, None)),
    (0, {"object": "error", "type": "odd", "code": "1300", "message": "no", "raw_status_code": 429},
     ("rate_limit", 429, "no", None, None)),
    (0, {"code": "Throttling.RateQuota", "message": "no"}, ("rate_limit", 429, "no", None, "Throttling.RateQuota")),
    (0, {"code": "InvalidApiKey", "message": "no"}, ("authentication", 401, "no", None, "InvalidApiKey")),
    (0, {"code": "Arrearage", "message": "no"}, ("billing", 402, "no", None, "Arrearage")),
    (0, {"code": 20012, "message": "no", "data": None}, ("not_found", 404, "no", None, None)),
    (403, {"code": 30001, "message": "no", "data": None}, ("billing", 403, "no", None, None)),
    (0, {"code": 50505, "message": "no", "data": None}, ("overloaded", 529, "no", None, None)),
    (0, {"success": False, "errors": [{"code": 10000, "message": "no"}]}, ("authentication", 401, "no", None, None)),
    (0, {"success": False, "errors": [{"code": 3040, "message": "no"}]}, ("rate_limit", 429, "no", None, None)),
    (0, {"success": False, "errors": [{"code": 1, "message": "no"}]}, ("api", 500, "no", None, None)),
    (0, {"code": 429, "message": "no"}, ("rate_limit", 429, "no", None, None)),
    (0, {"error": {"message": "no", "type": "invalid_request_error"}}, ("invalid_request", 400, "no", None, None)),
    (401, {"error": {"message": "no", "code": 500}}, ("authentication", 401, "no", None, None)),
    # Shapes.
    (400, {"error": "no", "code": "c", "param": 7}, ("invalid_request", 400, "no", "7", "c")),
    (400, {"error": "no", "type": "rate_limit_error"}, ("rate_limit", 400, "no", None, None)),
    (400, {"object": "error", "message": "no", "type": "NotFoundError", "param": "p", "code": 404},
     ("invalid_request", 400, "no", "p", None)),
    (0, {"object": "error", "message": "no", "code": "rate_limit_exceeded"},
     ("rate_limit", 429, "no", None, "rate_limit_exceeded")),
    (0, {"object": "error", "message": "no", "type": "overloaded_error"}, ("overloaded", 529, "no", None, None)),
    (400, {"message": "no"}, ("invalid_request", 400, "no", None, None)),
    (400, [{"error": {"message": "no", "status": "INVALID"}}], ("invalid_request", 400, "no", None, None)),
    (400, {"error": {"detail": "no"}}, ("invalid_request", 400, "no", None, None)),
    (400, {"error": {"code": "odd"}}, ("invalid_request", 400, "odd", None, "odd")),
    (400, {"error": {"a": 1}}, ("invalid_request", 400, '{"a":1}', None, None)),
    (400, {"error": {"message": "no", "metadata": {"raw": "why"}}}, ("invalid_request", 400, "no: why", None, None)),
    (400, {"error": {"message": "no: why", "metadata": {"raw": "why"}}},
     ("invalid_request", 400, "no: why", None, None)),
    (400, {"error": {"message": "no", "metadata": "x"}}, ("invalid_request", 400, "no", None, None)),
    (422, {"error": {"message": "invalid input error", "details": [
        {"loc": ["body", "tools", 0], "msg": "not a text"}, {"msg": "too long", "loc": None}, {"loc": []}]}},
     ("invalid_request", 422, "invalid input error: body.tools.0: not a text; too long", None, None)),
    (400, {"error": {"message": "no", "metadata": {"raw": 7}}}, ("invalid_request", 400, "no", None, None)),
    # Too long a prompt, under many names.
    (400, {"error": {"message": "This model's maximum context length is 9"}},
     ("context_overflow", 400, "This model's maximum context length is 9", None, None)),
    (413, {"error": {"message": "it exceeds the context"}},
     ("context_overflow", 413, "it exceeds the context", None, None)),
    (500, {"error": {"message": "context size"}}, ("context_overflow", 500, "context size", None, None)),
    (400, {"error": {"message": "x", "code": "context_length_exceeded"}},
     ("context_overflow", 400, "x", None, "context_length_exceeded")),
    (429, {"error": {"message": "context size"}}, ("rate_limit", 429, "context size", None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "want"), READ, ids=[json.dumps(row[:2])[:70] for row in READ])
def test_what_upstreams_send(status: int, body: Any, want: tuple[Any, ...]) -> None:
    error = errors.parse(status, json.dumps(body).encode()) if status else errors.of_object(body)
    assert error is not None
    assert (error.kind, error.status, error.message, error.param, error.code) == want
    assert str(error) == error.message and error.retry_after is None


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("Rate limit reached on tokens per min (TPM): Limit 3, Used 2. Please try again in 11.054s. Visit x", 11.054),
        ("Rate limit reached. Please try again in 7m12.5s.", 432.5),
        ("Please try again in 1h2m3s", 3723.0),
        ("Please try again in 250ms.", 0.25),
        ("Please retry after 26 seconds.", 26.0),  # Azure
        ("Please retry in 34.074824224s.", 34.074824224),  # Gemini
        ("Please try again in 5m.", 300.0),
        ("Please try again in a moment", None),
        ("Please try again later", None),
    ],
)
def test_a_limit_says_how_long_it_holds(message: str, wait: float | None) -> None:
    error = errors.of_object({"error": {"code": "rate_limit_exceeded", "message": message}})
    assert error is not None and error.retry_after == wait
    error = errors.of_object({"error": {"type": "invalid_request_error", "message": message}})
    assert error is not None and error.retry_after is None


_RESPONSE_CODES = [*get_args(ResponseError.model_fields["code"].annotation), "slow_down", "server_is_overloaded",
                   "context_length_exceeded", "insufficient_quota", "cyber_policy"]  # fmt: skip
_PASSING = {"server_error": "api", "rate_limit_exceeded": "rate_limit", "vector_store_timeout": "timeout",
            "slow_down": "overloaded", "server_is_overloaded": "overloaded", "insufficient_quota": "billing",
            "context_length_exceeded": "context_overflow"}  # fmt: skip


@pytest.mark.parametrize("code", _RESPONSE_CODES)
def test_a_failed_responses_code_alone_says_whether_asking_again_helps(code: str) -> None:
    error = errors.of_object({"error": {"code": code, "message": "no"}})
    assert error is not None
    assert error.kind == _PASSING.get(code, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [None, 7, "no", [], [7], {}, {"error": None}, {"error": ""}, {"error": {}}, {"error": 7}, {"detail": ""},
     {"message": "fine"}, {"message": 7, "object": "error"}, {"object": "error"},
     {"type": "message", "message": "fine"}],
)  # fmt: skip
def test_what_is_no_error(body: Any) -> None:
    assert errors.of_object(body) is None


@pytest.mark.parametrize(
    ("status", "raw", "type", "kind", "message"),
    [
        (502, b"", "", "upstream", "upstream answered 502 with an empty body"),
        (502, b" \n", "", "upstream", "upstream answered 502 with an empty body"),
        (404, b"{}", "", "not_found", "upstream answered 404 without an error message"),
        (503, b"<h1>", "", "overloaded", "upstream answered 503 with an HTML page"),
        (503, b"oops", "text/html; charset=x", "overloaded", "upstream answered 503 with an HTML page"),
        (403, b"<TITLE>\n Just a\nmoment </title>", "", "permission",
         'upstream answered 403 with an HTML page: "Just a\nmoment"'),
        (403, b"<title>" + b"x" * 300 + b"</title>", "", "permission",
         'upstream answered 403 with an HTML page: "' + "x" * 200 + '"'),
        (429, b" slow down ", "text/plain", "rate_limit", "slow down"),
        # Who was asked for a stream answers with one, whatever the status.
        (400, b'data: {"error":{"message":"context size"}}\n\ndata: [DONE]\n', "", "context_overflow", "context size"),
        (500, b': wait\r\n\r\nevent: error\r\ndata: {"type":"error","error":{"type":"overloaded_error",'
         b'"message":"no"}}\r\n\r\n', "text/event-stream", "overloaded", "no"),
        (400, b'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"code":"InvalidParameter","message":"no"}', "",
         "invalid_request", "no"),
        (400, b'\ndata: {"error": {"message": "half of', "text/event-stream", "invalid_request", "half of... [cut]"),
        (400, b"data: no", "text/event-stream", "invalid_request", "data: no"),
        (400, b"data: [DONE]\n\n", "", "invalid_request", "data: [DONE]"),
        (400, b"id: 7 is no model", "text/plain", "invalid_request", "id: 7 is no model"),
        (500, b"x" * 600, "", "api", "x" * 500),
        (500, b"\xff" * 3000, "", "api", "\ufffd" * 500),
    ],
)  # fmt: skip
def test_bodies_that_are_no_json(status: int, raw: bytes, type: str, kind: str, message: str) -> None:
    error = errors.parse(status, raw, type)
    assert (error.kind, error.status, error.message) == (kind, status, message)


# --------------------------------------------------------------------------------------------- writing

# kind -> Anthropic's type, OpenAI's type and code, the status for OpenAI's clients
WRITTEN = {
    "invalid_request": ("invalid_request_error", "invalid_request_error", None, 400),
    "authentication": ("authentication_error", "authentication_error", "invalid_api_key", 401),
    "rate_limit": ("rate_limit_error", "rate_limit_error", "rate_limit_exceeded", 429),
    "upstream": ("api_error", "server_error", "upstream_error", 502),
    "overloaded": ("overloaded_error", "service_unavailable_error", "overloaded", 503),
    "api": ("api_error", "server_error", None, 500),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_clients_get(kind: str) -> None:
    own, openai, code, status = WRITTEN[kind]
    error = ApiError(kind, "no", param="p")
    assert json.loads(MESSAGES.body(error)) == {"type": "error", "error": {"type": own, "message": "no"}}
    said = {"error": {"message": "no", "type": openai, "param": "p", "code": code}}
    assert json.loads(CHAT.body(error)) == json.loads(RESPONSES.body(error)) == said
    assert CHAT.status(error) == RESPONSES.status(error) == status
    assert MESSAGES.status(error) == error.status == errors.KINDS[kind][0]
    failed = {"invalid_request": "invalid_prompt", "rate_limit": code}.get(kind, "server_error")
    more = {"type": own} if failed == "server_error" and own != "api_error" else {}
    assert fault.response_error(error) == {"code": failed, "message": "no"} | more  # codes are a closed list
    mine = ApiError(kind, "no", code="mine", status=418, retry_after=2.5)
    assert json.loads(CHAT.body(mine))["error"]["code"] == "mine"
    assert fault.response_error(mine)["code"] == failed
    assert CHAT.status(mine) == 418 and mine.retry_after == 2.5


def test_an_error_event_is_in_the_protocols_words() -> None:
    error = ApiError("api", "no")
    body = b'{"type":"error","error":{"type":"api_error","message":"no"}'
    assert MESSAGES.event(error) == b"event: error\ndata: " + body + b"}\n\n"
    assert MESSAGES.event(error, "req_1") == b"event: error\ndata: " + body + b',"request_id":"req_1"}\n\n'
    assert CHAT.event(error, "req_1") == b"data: " + CHAT.body(error) + b"\n\n"
    name, data = RESPONSES.event(error, "1").split(b"\n", 1)
    said = json.loads(data.removeprefix(b"data: "))
    assert name == b"event: response.failed" and said["type"] == "response.failed" and said["sequence_number"] == 0
    assert said["response"]["id"] == "resp_1" and said["response"]["status"] == "failed"
    assert said["response"]["error"] == fault.response_error(error)
    assert b'"id":"resp_failed"' in RESPONSES.event(error)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("prompt is too long: 9", "prompt is too long: 9"),
        ("too big", "prompt is too long: too big"),
        ("max 4,096, you sent 10000 (in 99)", "prompt is too long: 10000 tokens > 4096 maximum "
         "(max 4,096, you sent 10000 (in 99))"),
        ("100 and 100", "prompt is too long: 100 and 100"),
    ],
)  # fmt: skip
def test_too_long_a_prompt_in_anthropics_words(message: str, told: str) -> None:
    error = ApiError("context_overflow", message)
    assert json.loads(MESSAGES.body(error))["error"]["message"] == told


NEITHERS = "prompt is too long: 250000 tokens > 200000 maximum"
OPENAIS = "This model's maximum context length is 9000 tokens."
GOOGLES = "The input token count (9) exceeds the maximum number of tokens allowed (8)."


@pytest.mark.parametrize(
    ("of", "message", "told"),
    [
        (GEMINI, "too big", "The input token count exceeds the maximum number of tokens allowed: too big"),
        (GEMINI, NEITHERS, "The input token count (250000) exceeds the maximum number of tokens allowed (200000). "
         f"({NEITHERS})"),
        (GEMINI, GOOGLES, GOOGLES),
        (CHAT, "too big", "Your input exceeds the context window of this model: too big"),
        (CHAT, NEITHERS, "Your input of 250000 tokens exceeds the context window of this model, whose maximum context "
         f"length is 200000 tokens. ({NEITHERS})"),
        (CHAT, OPENAIS, OPENAIS),
        (RESPONSES, NEITHERS, "Your input of 250000 tokens exceeds the context window of this model, whose maximum "
         f"context length is 200000 tokens. ({NEITHERS})"),
    ],
)  # fmt: skip
def test_too_long_a_prompt_in_the_words_of_the_clients_protocol(of: Any, message: str, told: str) -> None:
    """Clients match on them: LangChain's for JavaScript, Inspect."""
    body = of.body(ApiError("context_overflow", message))
    assert json.loads(body)["error"]["message"] == told
    again = errors.parse(400, body)  # for a proxy that asks this one
    assert (again.kind, json.loads(of.body(again))["error"]["message"]) == ("context_overflow", told)
    in_a_stream = of.event(ApiError("context_overflow", message)).partition(b"data: ")[2]
    assert json.dumps(told) in json.dumps(json.loads(in_a_stream))
    assert json.loads(of.body(ApiError("overloaded", message)))["error"]["message"] == message


def test_an_event_that_seems_to_begin_errors_everywhere_is_read_once() -> None:
    event = b'{"type":"response.failed",'
    cut = fault.of_failed(b"", event + b'"response":{"error":{"code":"rate_limit_exceeded","message":"x"},')
    assert cut is not None and cut.kind == "rate_limit"
    grows_linearly(lambda n: event + b'"error":{\\"' * n, lambda data: fault.of_failed(b"", data), 500)


def test_our_own_two() -> None:
    asked, got = BadRequest("no", "p"), BadReply("no")
    assert (asked.kind, asked.status, asked.param) == ("invalid_request", 400, "p")
    assert (got.kind, got.status, got.param) == ("upstream", 502, None)
    assert repr(got) == "<BadReply upstream 502: no>"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"error": {"message": "too long a \\"name\\"", "input": "xxxx', 'too long a "name"'),
        (b'[{"error": {"message": "wrapped", "x', "wrapped"),
        (b'{"detail": [{"loc": ["body"], "msg": "Input should be \'user\'", "input": [', "Input should be 'user'"),
        (b'{"error": {"message": "half a pair \\ud83d", "x', None),
        (b'{"message": "a bad \\q escape", "x', "a bad \\q escape"),
        (b'{"status": 400, "x', '{"status": 400, "x'),
    ],
)
def test_of_a_body_that_is_cut_the_first_message_counts(raw: bytes, message: str | None) -> None:
    error = errors.parse(400, raw, "application/json")
    assert error.status == 400 and error.kind == "invalid_request"
    assert message is None or error.message == message


def test_a_message_is_bounded_whole_and_cut() -> None:
    long = b"maximum context length " + b"9" * 50_000
    for raw in (b'{"error": {"message": "%b"}}' % long, b'{"error": {"message": "%b' % (long + b"1" * 300_000)):
        error = errors.parse(400, raw)
        assert error.kind == "context_overflow" and len(error.message) < errors.MAX_MESSAGE + 20
        assert error.message.endswith("[cut]")
        assert len(MESSAGES.body(error)) < 2 * errors.MAX_MESSAGE + 1000
