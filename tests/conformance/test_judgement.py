"""What the kit makes of servers that do this or that wrong: each fault is found, and what is none is not called one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from conformance import clients, command, errors, examine, kinds, open_responses, overall, report
from conformance.case import Case, Outcome
from conformance.examine import Result
from conformance.grammar.framing import events
from conformance.speech import ALL
from conformance.wire import BadAddress, Line, Reply
from tests.support.script import Answer, Request, Upstream

SPEECH = {speech.name: speech for speech in ALL}
JSON = {"content-type": "application/json", "request-id": "r", "x-request-id": "r"}
SSE = JSON | {"content-type": "text/event-stream"}
ERROR = {
    "messages": {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}},
    "chat": {"error": {"type": "invalid_request_error", "message": "no", "param": None, "code": None}},
}
ERROR["responses"] = ERROR["chat"]
ERROR["gemini"] = {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


class Scripted(Line):
    """Answers without a server; `asked` has the bodies."""

    def __init__(self, *replies: Reply | Callable[[Any], Reply]) -> None:
        super().__init__("http://127.0.0.1:1", 1.0)
        self.replies = list(replies)
        self.asked: list[Any] = []

    def _ask(self, method: str, path: str, data: bytes | None, headers: dict[str, str], leave_after: int) -> Reply:
        self.sent += 1
        self.asked.append(data)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply if isinstance(reply, Reply) else reply(json.loads(data or b"{}"))


def whole(body: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, JSON | headers, json.dumps(body).encode())


def streamed(*chunks: Any, **headers: str) -> Reply:
    written = [each if each == "[DONE]" else json.dumps(each) for each in chunks]
    return Reply(200, SSE | headers, "".join(f"data: {each}\n\n" for each in written).encode())


def chat(content: str | None = "OK", finish: str = "stop", usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def call(name: str = "get_weather", arguments: str = '{"city": "Paris"}', id: str = "call_1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


END = [{**chunk({}), "choices": [], "usage": USAGE}, "[DONE]"]
GOOD_STREAM = streamed(chunk({"role": "assistant", "content": "OK"}), chunk({}, "stop"), *END)


def case(*replies: Reply | Callable[[Any], Reply], protocol: str = "chat", key: str = "") -> Case:
    return Case(Scripted(*replies), SPEECH[protocol], "m", key)


@pytest.mark.parametrize(
    ("run", "reply", "words"),
    [
        (kinds.text, whole(chat("  ")), "no text"),
        (kinds.text, whole(chat(finish="eos")), "end is called 'eos'"),
        (kinds.text, Reply(200, JSON, b"<html>"), "not JSON"),
        (kinds.text, Reply(500, JSON, json.dumps(ERROR["chat"]).encode()), "answers 500: no"),
        (kinds.text, Reply(400, JSON, b'{"detail": "x"}'), "answers 400"),
        (kinds.text, Reply(trouble="silent for 1 s"), "silent"),
        (kinds.text, Reply(200, JSON, b"{", trouble="cut"), "breaks off: cut"),
        (kinds.stream, whole(chat()), "where a stream was asked for"),
        (kinds.stream, streamed(chunk({"role": "assistant", "content": "OK"}), *END), "order"),
        (kinds.stream, streamed(chunk({"role": "assistant", "content": "OK"}), chunk({}, "stop"), "[DONE]"), "usage"),
        (kinds.stream, streamed(chunk({"role": "assistant"}), chunk({}, "stop"), *END), "no text"),
        (kinds.streamed_call, GOOD_STREAM, "usage chunk that was not asked for"),
        (kinds.tool_call, whole(chat()), "no call although one was demanded"),
        (kinds.tool_call, whole(chat(None, "tool_calls", tool_calls=[call(arguments="{")])), "do not fit"),
        (kinds.tool_call, whole(chat(None, "tool_calls", tool_calls=[call(arguments="{}")])), "do not fit"),
        (kinds.tool_call, whole(chat(None, "tool_calls", tool_calls=[call("other")])), "no tool of the request"),
        (kinds.tool_call, whole(chat(None, "tool_calls", tool_calls=[call(), call()])), "ids of the calls"),
        (kinds.tool_call, whole(chat(None, "stop", tool_calls=[call()])), "although it calls"),
        (kinds.json_schema, whole(chat("A tree is a plant.")), "does not fit its schema"),
        (kinds.json_schema, whole(chat('{"side": "up"}')), "does not fit its schema"),
        (kinds.stop_sequence, whole(chat("alpha beta gamma delta")), "past the stop sequence"),
        (kinds.bounded, whole(chat(usage=USAGE | {"completion_tokens": 40})), "40 tokens where 16"),
        (kinds.bounded, whole(chat(usage=USAGE | {"completion_tokens": 16})), "was cut"),
        (kinds.models, whole({"models": []}), "no {'object': 'list'"),
        (kinds.models, whole({"object": "list", "data": [{"id": "m"}]}), "a model's object is None"),
        (errors.bad_model, whole(chat()), "answers 200 where 400 or 404"),
        (errors.bad_json, whole({"detail": []}, 422), "answers 422 where 400"),
        (errors.bad_json, whole({"detail": []}, 400), "no {'error'"),
        (errors.unknown_path, Reply(404, JSON, b"not found"), "no {'error'"),
        (errors.bad_model_streamed, streamed({"error": {"message": "no"}}), "with status 200, as a stream"),
        (errors.missing_field, Reply(trouble="reset"), "no answer: reset"),
    ],
)  # fmt: skip
def test_a_fault_is_found(run: Callable[[Case], Outcome], reply: Reply, words: str) -> None:
    outcome = run(case(reply))
    assert outcome.verdict == "fault" and words in " | ".join(outcome.problems)


@pytest.mark.parametrize(
    ("run", "reply"),
    [
        (kinds.text, whole(chat())),
        (kinds.text, whole(chat("", "length"))),
        (kinds.stream, GOOD_STREAM),
        (kinds.parallel_calls, GOOD_STREAM),  # whether it calls, and how often, is the model's
        (kinds.tool_call, whole(chat(None, "tool_calls", tool_calls=[call(), call(id="call_2")]))),
        (kinds.tool_call, whole(chat(None, "length"))),
        (kinds.json_schema, whole(chat('{"side": "left"}'))),
        (kinds.stop_sequence, whole(chat("alpha beta "))),
        (kinds.bounded, whole(chat(finish="length", usage=USAGE | {"completion_tokens": 16}))),
        (kinds.cancel, whole(chat())),
        (errors.bad_json, whole(ERROR["chat"], 400)),
        (errors.bad_model, whole(ERROR["chat"], 404)),
    ],
)
def test_what_is_right_is_ok(run: Callable[[Case], Outcome], reply: Reply) -> None:
    assert run(case(reply)).verdict == "ok"


@pytest.mark.parametrize("protocol", SPEECH)
@pytest.mark.parametrize(("status", "verdict"), [(400, "not served"), (501, "not served"), (429, "not tried")])
def test_a_refusal_in_words_is_no_fault(protocol: str, status: int, verdict: str) -> None:
    for run in (kinds.image, kinds.json_schema, kinds.tool_call, kinds.parallel_results):
        outcome = run(case(whole(ERROR[protocol], status), protocol=protocol))
        assert (outcome.verdict, outcome.words) == (verdict, f"{status}: no")


def test_where_the_first_is_not_there_nothing_else_is_asked() -> None:
    for status, verdict in ((404, "not served"), (405, "not served"), (401, "not tried"), (500, "not tried")):
        line = Scripted(whole(ERROR["chat"], status))
        results = list(examine.examine(Case(line, SPEECH["chat"], "m")))
        assert line.sent == 1 and {each.outcome.verdict for each in results[1:]} == {verdict}
        assert results[0].outcome.verdict == (verdict if verdict == "not served" or status == 401 else "fault")


def test_usage_is_compared_between_whole_and_streamed() -> None:
    asked = case(whole(chat(usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11})), GOOD_STREAM)
    for name, run in (("text", kinds.text), ("stream", kinds.stream)):
        asked.kind = name
        run(asked)
    assert kinds.usage(asked).words == "the same words are 5 and 9 tokens, whole and streamed"
    bare = case(whole(chat(usage=None)))
    bare.kind = "text"
    kinds.text(bare)
    assert kinds.usage(bare).problems == ["text: no count of tokens in", "text: no count of tokens out"]


def test_a_stored_response_is_followed_up() -> None:
    first = {"id": "resp_1", "status": "completed", "output": []}
    replies = [whole(first), whole(first), whole(first | {"previous_response_id": None}), whole({}, 404)]
    found = kinds.stored(case(*replies, protocol="responses"))
    assert found.problems == ["the reply does not name the response that it builds on", "DELETE answers 404"]
    assert kinds.stored(case(whole(first), whole({}), protocol="responses")).verdict == "fault"
    gone = whole(ERROR["responses"], 404)
    assert kinds.stored(case(whole(first), gone, protocol="responses")).verdict == "not served"
    assert kinds.stored(case(whole({}))).verdict == "-"


def test_headers_types_and_framing_are_judged_of_all_replies() -> None:
    bad = Reply(200, {"content-type": "text/plain"}, json.dumps(chat() | {"created": "now"}).encode())
    asked = case(bad, streamed(chunk({"role": "assistant", "content": "OK"}), **{"content-length": "9"}))
    kinds.text(asked)
    kinds.stream(asked)
    asked.heard[1].reply.body = asked.heard[1].reply.body[:-1] + b"noise\n"
    assert {problem.partition(": ")[2] or problem for problem in overall.headers(asked).problems} >= {
        "content-type is 'text/plain'", "no x-request-id", "it was gathered first",
    }  # fmt: skip
    assert any("created" in problem for problem in overall.sdk_types(asked).problems)
    assert any("noise" in problem or "blank line" in problem for problem in overall.framing(asked).problems)
    assert overall.open_responses_types(asked).verdict == "-"
    assert overall.error_fields(asked).verdict == "not tried"


def test_an_error_without_param_and_code_is_a_fault_of_its_own() -> None:
    asked = case(whole({"error": {"type": "invalid_request_error", "message": "no"}}, 400))
    assert errors.bad_json(asked).verdict == "ok"
    assert overall.error_fields(asked).problems == ["error has no param", "error has no code"]


def test_types_that_are_not_installed_are_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(SPEECH["responses"].types), "installed", lambda self: "")
    monkeypatch.setattr(open_responses, "found", lambda: None)
    asked = case(whole({}), protocol="responses")
    for run in (overall.sdk_types, overall.open_responses_types, clients.official_sdk):
        outcome = run(asked)
        assert outcome.verdict == "not tried" and outcome.words.startswith("not installed: ")


def test_a_wrong_key_is_only_tried_where_there_is_a_right_one() -> None:
    assert errors.wrong_key(case(whole({}))).verdict == "not tried"
    asked = case(whole(ERROR["chat"], 401), key="sk-right")
    assert errors.wrong_key(asked).verdict == "ok"
    assert errors.wrong_key(case(whole(chat()), key="sk-right")).verdict == "fault"


@pytest.mark.parametrize("protocol", SPEECH)
def test_there_are_requests_of_clients_in_each_protocol(protocol: str) -> None:
    shapes = clients.shapes(SPEECH[protocol])
    assert len(shapes) >= 2 and all(shape.body["stream"] and shape.client for shape in shapes)
    asked = case(whole(ERROR[protocol], 400), protocol=protocol)
    outcome = clients.as_clients_ask(asked)
    assert outcome.verdict == "fault" and outcome.problems[0] == f"{shapes[0].client}: 400: no"


def test_streams_of_others_may_be_framed_as_the_standard_lets_them() -> None:
    raw = b"event:x\r\ndata:{\r\ndata:}\r\nid: 7\r\n\r\n: a comment\n\ndata: 2\n\n"
    problems: list[str] = []
    assert list(events(raw, problems, house=False)) == [("x", "{\n}"), (None, "2")] and problems == []
    list(events(raw, problems))
    assert problems


def test_the_table_says_each_fault_once_and_the_badge_counts() -> None:
    outcomes = (("chat", Outcome("fault", "it lies")), ("messages", Outcome("fault", "it lies")))
    results = [Result(name, "text", outcome) for name, outcome in outcomes]
    results += [Result(name, "image", Outcome("not served", "400: none")) for name in ("chat", "messages")]
    table = "\n".join(report.table(results))
    assert table.count("it lies") == 1 and "FAULT: text (chat, messages): it lies" in table
    assert "0 ok, 2 faults, 2 not served, 0 not tried" in table
    assert report.RED in report.badge(results) and report.GREY in report.badge([])
    assert report.GREEN in report.badge([Result("chat", "text", Outcome("ok"))])


# --- the command ------------------------------------------------------------------------------------------------------


def test_it_says_what_it_costs_and_asks_nothing_unless_somebody_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    with Upstream([Answer.json({"data": []})]) as up:
        assert command.main([up.url, "--model", "m"]) == command.UNTRIED
        assert up.requests == []
    said = capsys.readouterr().out
    requests, tokens_in, tokens_out = examine.cost(len(ALL))
    assert f"At most {requests} requests, about {tokens_in:,} tokens in, and {tokens_out:,} out" in said
    assert "--yes" in said


def test_no_more_requests_and_tokens_than_it_says() -> None:
    for speech in ALL:
        line = Scripted(whole(ERROR[speech.name], 400))
        asked = Case(line, speech, "m", "sk-key")
        for kind in examine.KINDS:
            before = line.sent
            asked.kind = kind.name
            if kind.run is not clients.official_sdk:
                kind.run(asked)
            assert line.sent - before <= kind.requests, kind.name
        for body in line.asked:
            given = json.loads(body) if body and body.startswith(b"{") and body.endswith(b"}") else {}
            assert given.get("max_tokens", given.get("max_output_tokens", 0)) <= 512


def test_a_server_that_is_not_there_or_lists_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["http://127.0.0.1:9", "--yes"]) == command.EX_UNAVAILABLE
    with Upstream([Answer.json({"data": []})]) as up:
        assert command.main([up.url, "--yes"]) == command.EX_UNAVAILABLE
    said = capsys.readouterr().out
    assert "cannot be reached" in said and "--model NAME" in said


@pytest.mark.parametrize("words", [["ftp://x"], ["http://127.0.0.1:9", "--protocol", "soap"], ["http://h:x"]])
def test_a_command_line_that_makes_no_sense(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(words) == command.EX_USAGE
    assert capsys.readouterr().err.count("\n") == 1


def test_a_key_that_a_server_repeats_is_masked(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    def says(request: Request) -> Answer:
        return Answer.json({"error": {"message": "bad key sk-told-0123456789 \x1b[2J", "type": "x"}}, 400)

    with Upstream(says) as up:
        words = [up.url, "--key", "sk-told-0123456789", "--model", "m", "--protocol", "chat", "--yes"]
        assert command.main([*words, "--json", str(tmp_path / "found")]) == command.UNTRIED
        assert command.main([*words, "--badge", str(tmp_path / "no" / "such")]) == command.EX_CANTCREAT
    said = capsys.readouterr().out + (tmp_path / "found").read_text()
    assert "bad key ***" in said and "sk-told" not in said and "\x1b" not in said


def test_an_address_is_taken_without_its_v1() -> None:
    assert Line("http://127.0.0.1:8082/v1/", 1).url == "http://127.0.0.1:8082"
    assert Line("https://[::1]:9/openai/v1", 1).url == "https://[::1]:9/openai"
    assert Line("127.0.0.1:8082", 1).url == "http://127.0.0.1:8082"
    with pytest.raises(BadAddress):
        Line("http://", 1)
