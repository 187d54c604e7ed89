"""Counts of tokens that are right to the last one, where a model's vocabulary and frame are public."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.counting.exact_counts import AGAIN_AFTER, LARGE, TRUSTED_AFTER, ExactCounts
from tests.gateway.counting.test_calibration import _used
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import says
from translate import dialects, pair
from translate.counting import text_turns
from translate.target import Target

pytest.importorskip("bpe_openai", reason="not installed: bpe_openai (pip install -r extras/tokenizers.txt)")

from gateway.counting.vocabulary import counter

Json = dict[str, Any]
COUNT = "/v1/messages/count_tokens"
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def count() -> Callable[[str], int]:
    return counter()


# --------------------------------------------------------------------------------------------- the frame


def _turns(exchange: Json) -> text_turns.TextRequest | None:
    protocol = {"openai.chat": "chat", "openai.responses": "responses"}.get(exchange["api"])
    body = exchange["request"]["body"]
    return _turns_in(protocol, body) if protocol and isinstance(body, dict) else None


def _turns_in(protocol: str, body: Json) -> text_turns.TextRequest | None:
    read = dialects.of(protocol).text_turns
    assert read is not None
    return read(body)


def test_every_recorded_request_of_proven_kinds_took_just_so_many_tokens(
    recorded_traffic: Path, count: Callable[[str], int]
) -> None:
    seen, wrong = set[str](), []
    for file in sorted((recorded_traffic / "exchanges").glob("*.json")):
        exchange = json.loads(file.read_text())
        framed = text_turns.framed(exchange["model"] or "", _turns(exchange))
        real = _used(exchange["response"])
        if framed is None or not framed.proven or not real:
            continue
        seen.add(exchange["model"].removeprefix("openai/"))
        if (said := framed.around + sum(map(count, framed.texts))) != real:
            wrong.append((exchange["id"], said, real))
    assert wrong == []
    gpt = {"gpt-4o", "gpt-4o-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro", "gpt-5.2", "gpt-5.3-codex"}
    assert seen == gpt | {"gpt-5.4", "o4-mini"}, "the models that are called proven"


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("gpt-4o", 8 + 3), ("openai/gpt-4o-mini-2024-07-18", 8 + 3), ("gpt-5", 8 + 2), ("o4-mini", 8 + 2)],
)
def test_of_the_frame(model: str, tokens: int, count: Callable[[str], int]) -> None:
    chat = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello world"}]}
    responses = {"instructions": "Be brief.", "input": "hello world"}
    for protocol, body in (("chat", chat), ("responses", responses)):
        framed = text_turns.framed(model, _turns_in(protocol, body))
        assert framed is not None and framed.proven
        assert framed.around + sum(map(count, framed.texts)) == tokens + 3 + 2


@pytest.mark.parametrize(
    "model", ["gpt-4o-audio-preview", "gpt-5-chat-latest", "gpt-oss-120b", "claude-sonnet-4-5", "gpt-4", "my-gpt-4o"]
)
def test_of_other_models_nobody_knows_the_frame(model: str) -> None:
    assert not text_turns.is_known(model)
    assert text_turns.framed(model, text_turns.TextRequest([("user", ["hi"])], {})) is None


@pytest.mark.parametrize(
    "more",
    [
        {"modalities": ["text", "audio"]},
        {"web_search_options": {"search_context_size": "low"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": ["f"]},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]},
        {"messages": [{"role": "user", "name": "bob", "content": "x"}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        {"messages": ["hi"]},
        {"messages": []},
        {"messages": [{"role": "user", "content": "<|endoftext|>"}]},
    ],
)
def test_a_chat_request_with_more_than_text_is_not_counted(more: Json) -> None:
    body: Json = {"messages": [{"role": "user", "content": "x"}], "temperature": 0}
    assert text_turns.framed("gpt-4o", _turns_in("chat", body)) is not None
    assert text_turns.framed("gpt-4o", _turns_in("chat", body | more)) is None


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("chat", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("chat", {"functions": [{"name": "f"}]}),
        ("chat", {"response_format": {"type": "json_object"}}),
        ("responses", {"tools": [{"type": "custom", "name": "f"}]}),
        ("responses", {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}),
    ],
)
def test_tools_and_schemas_make_a_kind_of_their_own(protocol: str, more: Json) -> None:
    body: Json = {"messages": [{"role": "user", "content": "x"}]} if protocol == "chat" else {"input": "x"}
    plain, framed, again = (
        text_turns.framed("gpt-4o", _turns_in(protocol, body | each))
        for each in ({"tool_choice": "auto", "temperature": 0}, more, more | {"tool_choice": "auto", "temperature": 1})
    )
    assert plain is not None and plain.proven and not plain.has_more
    assert framed is not None and framed.has_more and not framed.proven
    assert framed == again and framed.kind != plain.kind


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "web_search"}]},
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "p"}},
        {"instructions": [{"role": "user", "content": "x"}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        {"input": [{"type": "reasoning", "summary": []}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}]},
        {"input": 5},
        {"input": None},
    ],
)
def test_a_responses_request_with_more_than_text_is_not_counted(more: Json) -> None:
    body: Json = {"input": "x", "text": {"format": {"type": "text"}}}
    assert text_turns.framed("gpt-4o", _turns_in("responses", body)) is not None
    try:
        turns = _turns_in("responses", body | more)
    except TypeError:
        pytest.fail("it is to be told, whatever comes")
    assert text_turns.framed("gpt-4o", turns) is None


_SPOKEN = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_CONTENT = st.one_of(_SPOKEN, st.lists(st.builds(lambda text: {"type": "text", "text": text}, _SPOKEN), max_size=2))


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), _CONTENT), min_size=1, max_size=4), _CONTENT)
def test_what_is_read_off_a_messages_request_is_what_upstreams_get(turns: list[tuple[str, Any]], system: Any) -> None:
    body: Json = {
        "model": "m", "max_tokens": 9, "system": system, "messages": [{"role": r, "content": c} for r, c in turns]
    }  # fmt: skip
    read = dialects.of("messages").single_turns(body)
    if read is None:
        return
    for protocol in ("chat", "responses"):
        sent = _turns_in(protocol, pair.request("messages", protocol, body, Target("gpt-4o")).body)
        assert sent is not None and sent.fixed == read.fixed == {}
        roles = [{"developer": "system"}.get(role, role) for role, _ in sent.turns]
        assert [(role, texts) for role, (_, texts) in zip(roles, sent.turns, strict=True)] == read.turns


def test_the_usual_messages_request_can_be_read_off() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    read = dialects.of("messages").single_turns
    said = read({"system": [{"type": "text", "text": "s"}], "messages": turns})
    assert said is not None
    assert said.turns == [("system", ["s"]), ("user", ["a"]), ("assistant", ["b"]), ("user", ["c"])]
    for more in ({"tools": [TOOL]}, {"messages": turns[:2]}, {"messages": turns[1:]}, {"system": [{"type": "x"}]}):
        assert read({"messages": turns} | more) is None


# ---------------------------------------------------------------------------- in front of an upstream


def _asked(model: str, *texts: str, **more: Any) -> Json:
    roles = ("user", "assistant")
    turns = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
    return {"model": model, "max_tokens": 9, "messages": turns} | more


def responses_reply(text: str, input_tokens: int) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    usage = {"input_tokens": input_tokens, "output_tokens": 1, "total_tokens": input_tokens + 1}
    return {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
            "output": [item], "usage": usage}  # fmt: skip


def _house(url: str, protocol: str = "chat", exact: str = "true") -> House:
    return House(
        f"[upstream a]\nprotocol = {protocol}\nbase_url = {url}\n[models]\n* = a\n[counting]\nexact = {exact}\n"
    )


def _counted(house: House, body: Json) -> tuple[str, int]:
    status, headers, raw = house.post(COUNT, body)
    assert status == 200, raw
    how = headers["x-proxy-token-count"]
    assert ("x-proxy-estimate" in headers) == (how != "exact")
    return how, json.loads(raw)["input_tokens"]


def _using(prompt: int) -> Callable[[Request], Answer]:
    reply = says("ok")
    assert isinstance(reply.body, bytes)
    reply.body = reply.body.replace(b'"prompt_tokens": 1', b'"prompt_tokens": %d' % prompt)
    return lambda request: reply


def test_a_client_is_told_an_exact_count(count: Callable[[str], int]) -> None:
    body = _asked("gpt-5", "How long is this?", system=[{"type": "text", "text": "Be"}, {"type": "text", "text": "A"}])
    expected = 8 + 2 + count("How long is this?") + count("Be\n\nA")
    with Upstream(_using(1)) as up:
        with _house(up.url) as house:
            assert _counted(house, body) == ("exact", expected)
            assert _counted(house, body | {"tools": [TOOL]})[0] == "estimate"
            assert _counted(house, body | {"model": "other"})[0] == "estimate"
            assert house.post(COUNT, body | {"messages": "x"})[0] == 400
            counting = house.proxy.service.counting
            assert counting.told["exact"] == 1
            house.wait(lambda p: not p.service.flows)
            assert counting.counted == {}
        with _house(up.url, exact="false") as house:
            assert _counted(house, body)[0] == "estimate"
        assert up.requests == []


def test_gemini_and_responses_clients_have_it_too(count: Callable[[str], int]) -> None:
    with Upstream(_using(1)) as up, _house(up.url) as house:
        status, headers, raw = house.post(
            "/v1beta/models/gpt-5:countTokens", {"contents": [{"role": "user", "parts": [{"text": "hello world"}]}]}
        )
        assert (status, headers["x-proxy-token-count"]) == (200, "exact"), raw
        assert json.loads(raw)["totalTokens"] == 4 + 2 + 2
        status, headers, raw = house.post("/v1/responses/input_tokens", {"model": "gpt-5", "input": "hello world"})
        assert (status, headers["x-proxy-token-count"]) == (200, "exact"), raw
        assert json.loads(raw)["input_tokens"] == 4 + 2 + 2


def test_an_upstream_that_counts_itself_is_asked() -> None:
    with Upstream(lambda request: Answer.json({"object": "response.input_tokens", "input_tokens": 5})) as up:
        with _house(up.url, "responses") as house:
            status, headers, raw = house.post("/v1/responses/input_tokens", {"model": "gpt-5", "input": "hello world"})
            assert (status, headers["x-proxy-token-count"]) == (200, "upstream"), raw
            assert json.loads(raw)["input_tokens"] == 5


def test_what_no_recording_tells_is_trusted_once_replies_agree(count: Callable[[str], int]) -> None:
    texts = ("What is 6 x 7?", "It is 42.", "And 6 x 8?")
    body = _asked("gpt-4o", *texts)
    real = 3 * 4 + 3 + sum(map(count, texts))
    with Upstream(_using(real)) as up, _house(up.url) as house:
        for _ in range(TRUSTED_AFTER):
            assert _counted(house, body)[0] == "estimate"
            assert house.post("/v1/messages", body)[0] == 200
        house.wait(lambda p: not p.service.flows)
        assert _counted(house, body) == ("exact", real)


def test_a_reply_that_disagrees_is_believed(count: Callable[[str], int]) -> None:
    """An upstream puts in words of its own, or the name means another model there."""
    body = _asked("gpt-4o", "hello world")
    with Upstream(_using(4 + 3 + 2 + 10)) as up, _house(up.url) as house:
        assert _counted(house, body) == ("exact", 4 + 3 + 2)
        assert house.post("/v1/messages", body)[0] == 200
        house.wait(lambda p: not p.service.flows)
        assert _counted(house, body)[0] == "estimate"
        exact = house.proxy.service.counting.exact
        assert exact is not None and [each.wants for each in exact._learned.values()] == [AGAIN_AFTER]


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_what_tools_take_is_learned_of_replies_and_holds_for_just_these(
    protocol: str, count: Callable[[str], int]
) -> None:
    tools, other = [TOOL | {"name": "look"}], [TOOL | {"name": "see"}]
    of_tools = 87

    def answer(request: Request) -> Answer:
        said = request.json.get("input") or request.json["messages"]
        content = said[-1]["content"]
        words = content if isinstance(content, str) else content[0]["text"]
        prompt = 4 + 2 + count(words) + of_tools
        if protocol == "chat":
            return _using(prompt)(request)
        return Answer.json(responses_reply("ok", input_tokens=prompt))

    with Upstream(answer) as up, _house(up.url, protocol) as house:
        for number in range(TRUSTED_AFTER + 1):
            assert _counted(house, _asked("gpt-5", "word " * number + "x", tools=tools))[0] == "estimate"
            assert house.post("/v1/messages", _asked("gpt-5", "word " * number + "x", tools=tools))[0] == 200
        house.wait(lambda p: not p.service.flows)
        told = _counted(house, _asked("gpt-5", "something else " * 50, tools=tools))
        assert told == ("exact", 4 + 2 + count("something else " * 50) + of_tools)
        assert _counted(house, _asked("gpt-5", "x", tools=other))[0] != "exact"
        assert _counted(house, _asked("gpt-5", "x")) == ("exact", 4 + 2 + 1)
        of_tools = 88  # the provider has changed how it tells them
        house.post("/v1/messages", _asked("gpt-5", "x", tools=tools))
        house.wait(lambda p: not p.service.flows)
        assert _counted(house, _asked("gpt-5", "x", tools=tools))[0] != "exact"


def test_models_whose_tools_are_not_known_have_nothing_translated_for_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    crossed: list[str] = []
    whole = pair.request
    monkeypatch.setattr(pair, "request", lambda *a, **k: crossed.append("x") or whole(*a, **k))
    with Upstream(_using(1)) as up, _house(up.url) as house:
        assert _counted(house, _asked("gpt-5", "x", tools=[TOOL]))[0] == "estimate"
        assert crossed == []


def test_a_large_text_is_counted_beside_the_loop(count: Callable[[str], int]) -> None:
    text = "Some words, and 12 more.\n" * (LARGE // 20)
    with Upstream(_using(1)) as up, _house(up.url) as house:
        threads: list[int] = []
        beside = house.proxy.service.ports.beside
        structs.force_setattr(house.proxy.service.ports, "beside", lambda work: threads.append(1) or beside(work))
        for _ in range(2):
            assert _counted(house, _asked("gpt-4o", text)) == ("exact", 4 + 3 + count(text))
        assert len(threads) == 1, "what has been counted is known"


def test_text_that_is_no_unicode_is_estimated() -> None:
    with Upstream(_using(1)) as up, _house(up.url) as house:
        status, headers, _ = house.post(COUNT, json.dumps(_asked("gpt-4o", "half \ud83d")).encode())
        assert status in (200, 400) and headers.get("x-proxy-token-count") != "exact"


# ------------------------------------------------------------------------------------------------ its cost


def test_of_a_long_history_only_the_new_message_is_counted(count: Callable[[str], int]) -> None:
    counted: list[str] = []
    exact = ExactCounts(lambda text: counted.append(text) or count(text))  # type: ignore[func-returns-value]
    history = [("user", [f"{number} " + "some words " * 90]) for number in range(200)]
    whole = text_turns.framed("gpt-4o", text_turns.TextRequest(history, {}))
    assert whole is not None and exact.tokens(whole) and len(counted) == 200
    longer = text_turns.framed("gpt-4o", text_turns.TextRequest([*history, ("user", ["something new " * 10])], {}))
    assert longer is not None and not exact.is_large(longer)
    took = []
    for _ in range(9):
        begun = time.process_time()
        exact.tokens(longer)
        took.append(time.process_time() - begun)
    assert counted[200:] == ["something new " * 10]
    assert statistics.median(took) < 0.01, "a look at 200 KB that are known takes a fraction of a millisecond"
    assert exact.tokens(longer) == exact.tokens(whole) + 4 + count("something new " * 10)
