"""Google's own models at Vertex AI: for clients of every dialect, and what arrives is what Google's SDK sends there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.auth.credentials import Credentials
from google.genai import errors, types

from console.doctor import command as doctor
from tests.gateway.flow.test_gemini import CALLING, SAYING, answer
from tests.support import sdk_gemini
from tests.support.house import ONCE, House
from tests.support.script import Answer, Request, Upstream
from translate.conversation import Event

MODEL = "gemini-3-pro"
HOME = f"/v1/projects/p-1/locations/us/publishers/google/models/{MODEL}"
HI: list[Any] = [{"role": "user", "content": "hi"}]
TOKEN = "token-0123456789"


def house(up: Upstream, more: str = "") -> House:
    text = f"[upstream vertex]\npreset = vertex\nproject = p-1\nregion = us\nbase_url = {up.url}\napi_key = {TOKEN}\n"
    return House(f"{text}[models]\ngemini-* = vertex\nclaude-* = vertex\n{more}")


def scripted(events: list[Event]) -> Upstream:
    return Upstream(lambda request: answer("gemini", events, request))


@pytest.mark.parametrize("stream", [False, True])
def test_clients_of_every_dialect(stream: bool) -> None:
    want = "It is sunny 😀 there."
    with scripted(SAYING) as up, house(up) as here:
        with anthropic.Anthropic(base_url=here.url, api_key="k", max_retries=0) as claude:
            if stream:
                with claude.messages.stream(model=MODEL, max_tokens=50, messages=HI) as events:
                    text = events.get_final_text()
            else:
                text = claude.messages.create(model=MODEL, max_tokens=50, messages=HI).content[0].text
            assert text == want
        with openai.OpenAI(base_url=f"{here.url}/v1", api_key="k", max_retries=0) as client:
            if stream:
                chunks = list(client.chat.completions.create(model=MODEL, messages=HI, stream=True))
                assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == want
                *_, last = client.responses.create(model=MODEL, input="hi", stream=True)
                assert last.response.output_text == want
            else:
                assert client.chat.completions.create(model=MODEL, messages=HI).choices[0].message.content == want
                assert client.responses.create(model=MODEL, input="hi").output_text == want
        with sdk_gemini.client(here.url) as google:
            if stream:
                pieces = google.models.generate_content_stream(model=MODEL, contents="hi")
                assert "".join(each.text or "" for each in pieces) == want
            else:
                assert google.models.generate_content(model=MODEL, contents="hi").text == want
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    assert [request.path for request in up.requests] == [f"{HOME}:{verb}"] * 4
    for request in up.requests:
        assert request.headers["authorization"] == f"Bearer {TOKEN}" and "x-goog-api-key" not in request.headers
        assert request.json["contents"][0]["parts"][0]["text"] == "hi"
        assert not {"model", "anthropic_version"} & request.json.keys()


def test_a_tool_is_called_and_claude_goes_its_own_way() -> None:
    tool = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
    with scripted(CALLING) as up, house(up) as here:
        body = {"model": MODEL, "max_tokens": 900, "messages": HI, "tools": [tool]}
        status, _, raw = here.post("/v1/messages", body)
        assert status == 200 and json.loads(raw)["content"][-1]["input"] == {"city": "Köln", "days": 2}
        here.post("/v1/messages", body | {"model": "claude-opus-5-5"})
        here.post("/v1/chat/completions", {"model": "claude-opus-5-5", "messages": HI, "reasoning_effort": "low"})
    paths = [request.path.rpartition("/publishers/")[2] for request in up.requests]
    claude = "anthropic/models/claude-opus-5-5:rawPredict"
    assert paths == [f"google/models/{MODEL}:generateContent", claude, claude]


def test_calls_and_results_have_no_ids_there_and_stand_in_one_order() -> None:
    """Vertex AI answers 400 to them: Unknown name "id" at 'contents[1].parts[0].function_call': Cannot find field."""
    blocks = [{"type": "tool_use", "id": id, "name": "look", "input": {"at": id}} for id in ("t1", "t2", "t3")]
    results = [{"type": "tool_result", "tool_use_id": id, "content": f"seen {id}"} for id in ("t3", "t1", "t2")]
    turns = [*HI, {"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    with scripted(SAYING) as up, house(up) as here:
        assert here.post("/v1/messages", {"model": MODEL, "max_tokens": 900, "messages": turns})[0] == 200
    _, calls, answers = up.requests[0].json["contents"]
    assert [part["functionCall"] for part in calls["parts"]] == [
        {"name": "look", "args": {"at": id}} for id in ("t1", "t2", "t3")
    ]
    assert [part["functionResponse"] for part in answers["parts"]] == [
        {"name": "look", "response": {"output": f"seen {id}"}} for id in ("t1", "t2", "t3")
    ]


def test_a_refusal_is_in_the_clients_words() -> None:
    refusal = Answer.json({"error": {"code": 429, "message": "Quota is gone.", "status": "RESOURCE_EXHAUSTED"}}, 429)
    with Upstream([refusal]) as up, house(up, ONCE) as here:
        status, _, raw = here.post("/v1/messages", {"model": MODEL, "max_tokens": 5, "messages": HI})
        assert status == 429 and json.loads(raw)["error"] == {"type": "rate_limit_error", "message": "Quota is gone."}
        with sdk_gemini.client(here.url) as google, pytest.raises(errors.ClientError, match="Quota is gone"):
            google.models.generate_content(model=MODEL, contents="hi")


# --------------------------------------------------------------------------------- Google's SDK as the oracle


class Token(Credentials):
    """An access token that is there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # google-auth has no types
        self.token = TOKEN

    def refresh(self, request: Any) -> None:
        pass


@contextlib.contextmanager
def vertex_client(up: Upstream) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=up.url, api_version="v1")
    made = genai.Client(vertexai=True, project="p-1", location="us", credentials=Token(), http_options=options)
    try:
        yield made
    finally:
        made.close()


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CONFIGS: list[dict[str, Any]] = [
    {},
    {"system_instruction": "Be brief.", "temperature": 0.5, "max_output_tokens": 50, "stop_sequences": ["END"]},
    {"tools": [sdk_gemini.WEATHER], "automatic_function_calling": sdk_gemini.QUIET},
    {"thinking_config": types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)},
    {"response_mime_type": "application/json", "response_json_schema": SCHEMA},
    {"tools": [types.Tool(google_search=types.GoogleSearch())], "labels": {"team": "a"}},
    {"safety_settings": [types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_NONE")]},  # type: ignore[arg-type]  # the SDK takes the names
]
PART = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")
CALLED = types.Part(function_call=types.FunctionCall(name="f", args={"a": 1}), thought_signature=b"proof")
HISTORY = [
    types.Content(role="user", parts=[types.Part(text="Look."), PART]),
    types.Content(role="model", parts=[CALLED]),
    types.Content(role="user", parts=[types.Part.from_function_response(name="f", response={"result": "x"})]),
]


def recorded(request: Request) -> Answer:
    return Answer.json({"error": {"code": 400, "message": "recorded", "status": "INVALID_ARGUMENT"}}, 400)


def asked(client: genai.Client, model: str, contents: Any, config: dict[str, Any], stream: bool) -> None:
    more = types.GenerateContentConfig(**config)
    with pytest.raises(errors.ClientError, match="recorded"):
        if stream:
            list(client.models.generate_content_stream(model=model, contents=contents, config=more))
        else:
            client.models.generate_content(model=model, contents=contents, config=more)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_the_same_arrives_as_from_googles_own_client(number: int, stream: bool) -> None:
    """Also of clients that are set up for Vertex and have the proxy as base URL."""
    config = CONFIGS[number]
    with Upstream(recorded) as up, house(up) as here:
        with vertex_client(up) as theirs:
            asked(theirs, MODEL, HISTORY, config, stream)
        with vertex_client(here) as same:  # type: ignore[arg-type]  # it has a url, too
            asked(same, MODEL, HISTORY, config, stream)
        if "labels" not in config:  # which the SDK has at Vertex alone
            with sdk_gemini.client(here.url) as ours:
                asked(ours, f"vertex/{MODEL}", HISTORY, config, stream)
    first, *others = up.requests
    for request in others:
        assert (request.method, request.path) == (first.method, first.path)
        assert request.json == first.json
        assert request.headers["authorization"] == first.headers["authorization"] == f"Bearer {TOKEN}"


def test_counts_are_asked_for_as_it_asks() -> None:
    with Upstream([Answer.json({"totalTokens": 7})]) as up, house(up) as here:
        with vertex_client(up) as theirs, sdk_gemini.client(here.url) as ours:
            assert theirs.models.count_tokens(model=MODEL, contents="hi").total_tokens == 7
            assert ours.models.count_tokens(model=MODEL, contents="hi").total_tokens == 7
    theirs_asked, ours_asked = up.requests
    assert (ours_asked.path, ours_asked.json) == (theirs_asked.path, theirs_asked.json)
    assert ours_asked.path == f"{HOME}:countTokens"


@pytest.mark.parametrize(("model", "asked"), [(MODEL, "google"), ("claude-x", "anthropic")])
def test_the_doctor_asks_for_a_model_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, asked: str
) -> None:
    """And does not advise to give up the protocol of the other models."""

    def answering(request: Request) -> Answer:
        return answer("gemini" if "/google/" in request.path else "messages", SAYING, request)

    with Upstream(answering) as up:
        file = tmp_path / "settings.ini"
        at = f"project = p-1\nregion = us\nbase_url = {up.url}\napi_key = {TOKEN}\n"
        file.write_text(f"[upstream vertex]\npreset = vertex\n{at}[models]\n* = vertex\n")
        assert doctor.main(["--config", str(file), "--yes", "--model", model, "vertex"]) == doctor.USABLE
        publishers = {request.path.split("/publishers/")[1].partition("/")[0] for request in up.requests
                      if "/publishers/" in request.path and request.method == "POST"}  # fmt: skip
    assert publishers == {asked}
    assert "protocol = " not in capsys.readouterr().out
