"""What is kept, for whom, and what is not."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import ASK, PATH, error, event, house_text, said, says, streams

ZERO = ASK | {"temperature": 0}
KEEPS = "[cache]\nmodels = *\n"
CLIENTS = "".join(f"[client {name}]\nkey = {name}-key-0123456789\n" for name in ("alice", "bobby"))


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-key-0123456789"}


def what(reply: tuple[int, dict[str, str], bytes]) -> str:
    return reply[1].get("x-proxy-cache", "")


def asked(house: House, body: Any, headers: dict[str, str] | None = None, path: str = PATH) -> str:
    return what(house.post(path, body, headers))


def numbered() -> Any:
    """An upstream that says which answer this is."""
    count = iter(range(1, 1000))

    def answer(request: Any) -> Answer:
        who = str(next(count))
        return Answer.sse(streams(who)) if request.json.get("stream") else says(who)

    return answer


@pytest.mark.parametrize("stream", [False, True])
def test_the_second_gets_the_reply_to_the_first(stream: bool) -> None:
    ask = ZERO | {"stream": stream}
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        first, second = house.post(PATH, ask), house.post(PATH, ask)
        assert (what(first), what(second)) == ("miss", "hit")
        assert said(first) == said(second) == "1" and first[2] == second[2]
        assert second[1]["age"] == "0" and second[1]["x-proxy-upstream"] == "a"
        assert second[1]["content-type"] == first[1]["content-type"]
        assert second[1]["x-request-id"] != first[1]["x-request-id"]
        assert len(up.requests) == 1
        counted = house.on_loop(lambda: house.proxy.service.cache.told)  # type: ignore[union-attr]
        assert counted == {"hit": 1, "miss": 1, "coalesced": 0, "bypass": 0}


def test_nothing_is_kept_as_it_comes() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", a=up.url)) as house:
        replies = [house.post(PATH, ZERO) for _ in range(2)]
        assert [said(reply) for reply in replies] == ["1", "2"]
        assert not any(what(reply) or "age" in reply[1] for reply in replies)
        assert house.proxy.service.ports.cache is None


def test_only_the_models_that_are_named() -> None:
    text = house_text("* = a", "[cache]\nmodels = gpt-*, exact\n", a="")
    with Upstream(numbered()) as up:
        with House(text.replace("base_url = ", f"base_url = {up.url}")) as house:
            for model, expected in (("gpt-5", "hit"), ("exact", "hit"), ("exactly", ""), ("other", "")):
                house.post(PATH, ZERO | {"model": model})
                assert asked(house, ZERO | {"model": model}) == expected, model


def test_the_order_of_fields_and_what_is_not_for_the_model_change_nothing() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        house.post(PATH, ZERO)
        for same in (
            dict(reversed(ZERO.items())),
            json.dumps(ZERO, indent=3).encode(),
            ZERO | {"user": "u1", "safety_identifier": "s", "prompt_cache_key": "p", "metadata": {"a": "b"}},
        ):
            assert asked(house, same) == "hit", same
        house.post(PATH, ZERO, {"User-Agent": "x/1", "X-Stainless-Retry-Count": "1", "traceparent": "00-1-2-03"})
        assert len(up.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0.0, "seed": 1},
        {"messages": [{"role": "user", "content": "hi "}]},
        {"model": "m2"},
        {"stream": True},
        {"max_tokens": 5},
        {"tools": []},
        {"logprobs": True},
        {"never_heard_of": 1},
    ],
)
def test_what_changes_the_answer_is_another_question(other: dict[str, Any]) -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        house.post(PATH, ZERO)
        assert asked(house, ZERO | other) == "miss"


@pytest.mark.parametrize("headers", [{"OpenAI-Beta": "x"}, {"OpenAI-Organization": "o"}, {"Anthropic-Beta": "b"}])
def test_so_do_headers_for_the_upstream(headers: dict[str, str]) -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        house.post(PATH, ZERO)
        assert asked(house, ZERO, headers) == "miss"
        assert asked(house, ZERO, headers) == "hit"
        assert asked(house, ZERO) == "hit"
        house.post(f"{PATH}?beta=true", ZERO)
        assert len(up.requests) == 3


def test_and_headers_that_the_settings_let_through() -> None:
    section = "base_url = {}\nrequest_headers = x-tenant\n"
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=section.format(up.url))) as house:
        assert [asked(house, ZERO, {"X-Tenant": tenant}) for tenant in "1212"] == ["miss", "miss", "hit", "hit"]


@pytest.mark.parametrize(
    "ask", [ASK, ASK | {"temperature": 0.1}, ASK | {"temperature": False}, ZERO | {"store": True}, ASK | {"seed": 1}]
)
def test_what_has_no_one_answer_is_not_kept(ask: dict[str, Any]) -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        assert [asked(house, ask) for _ in range(2)] == ["bypass"] * 2
        assert len(up.requests) == 2


def test_unless_the_settings_or_the_client_say_so() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", "[cache]\nalways = m\n", a=up.url)) as house:
        assert [asked(house, ASK) for _ in range(2)] == ["miss", "hit"]
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        allow = {"X-Proxy-Cache": "allow"}
        assert [asked(house, ASK, allow) for _ in range(2)] == ["miss", "hit"]
        assert asked(house, ASK) == "bypass"
        assert "x-proxy-cache" not in up.requests[0].headers


def test_embeddings_have_one_answer() -> None:
    answer = Answer.json({"object": "list", "data": [{"embedding": [0.5], "index": 0}], "usage": {"prompt_tokens": 1}})
    with Upstream([answer]) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        ask = {"model": "m", "input": "words"}
        assert [asked(house, ask, path="/v1/embeddings") for _ in range(2)] == ["miss", "hit"]
        assert asked(house, ask, path="/v1/images/generations") == "bypass"


def finished(reason: str, **message: Any) -> Answer:
    whole = json.loads(says("x").body)  # type: ignore[arg-type]
    choice = whole["choices"][0]
    choice["finish_reason"] = reason
    choice["message"] |= message
    return Answer.json(whole)


CALL = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "answer",
    [
        finished("length"),
        finished("content_filter"),
        finished("stop", refusal="I cannot", content=None),
        finished("tool_calls", tool_calls=[CALL]),
        error(400),
        error(503),
        Answer.json({"error": {"message": "no"}}),
        Answer.sse([event({"role": "assistant", "content": "x"}), event({}, "length"), b"data: [DONE]\n\n"]),
        Answer.sse([event({"role": "assistant", "content": "x"})]),
        Answer.sse([event({"content": "x"}), b'data: {"error":{"message":"no"}}\n\n']),
        Answer.sse([event({"content": "x"})], framing="length", short=99, end="close"),
    ],
)
def test_errors_refusals_and_cut_replies_are_never_kept(answer: Answer) -> None:
    streamed = "event-stream" in answer.headers.get("Content-Type", "")
    once = "[retry]\nmax_attempts = 1\n"
    with Upstream([answer]) as up, House(house_text("* = a", KEEPS + once, a=up.url)) as house:
        assert [asked(house, ZERO | {"stream": streamed}) for _ in range(2)] == ["miss", "miss"]
        assert house.on_loop(lambda: len(house.proxy.service.cache.entries)) == 0  # type: ignore[union-attr]


def test_calls_of_tools_are_kept_where_that_is_allowed() -> None:
    answer = finished("tool_calls", tool_calls=[CALL], content=None)
    with Upstream([answer]) as up, House(house_text("* = a", KEEPS + "tool_calls = true\n", a=up.url)) as house:
        assert [asked(house, ZERO) for _ in range(2)] == ["miss", "hit"]


def test_what_the_client_says_of_caching() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:

        def ask(control: str) -> str:
            reply = house.post(PATH, ZERO, {"Cache-Control": control} if control else None)
            return f"{what(reply)} {said(reply)}" if reply[0] == 200 else str(reply[0])

        assert ask("only-if-cached") == "504" and not up.requests
        assert ask("no-store") == "bypass 1"
        assert ask("") == "miss 2", "what was not to be stored is not"
        assert ask("no-store") == "bypass 3"
        assert ask("") == "hit 2"
        assert ask("No-Cache") == "bypass 4"
        assert ask("") == "hit 4", "it is kept in the place of the older one"
        assert ask("max-age=60") == ask("only-if-cached") == ask("private, max-age=x") == "hit 4"
        time.sleep(0.01)
        assert ask("max-age=0") == "bypass 5"


def test_a_reply_is_kept_for_its_time_and_within_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = KEEPS + "seconds = 1\nentry_kb = 1\n"
    with Upstream(numbered()) as up, House(house_text("* = a", settings, a=up.url)) as house:
        cache: Any = house.proxy.service.cache
        house.post(PATH, ZERO)
        now = time.monotonic()
        house.on_loop(lambda: setattr(cache.entries, "_now", lambda: now + 1.1))
        assert asked(house, ZERO) == "miss"
        assert asked(house, ZERO) == "hit"
        house.on_loop(lambda: cache.entries.resize(5000))
        for n in range(20):
            house.post(PATH, ZERO | {"n": n})
        assert 0 < house.on_loop(lambda: cache.entries.bytes) <= 5000
        assert asked(house, ZERO | {"n": 19}) == "hit" and asked(house, ZERO) == "miss"
    large = Answer.sse([*streams("x" * 600)[:2], *streams("x" * 600)[1:]])
    with Upstream([large]) as up, House(house_text("* = a", settings, a=up.url)) as house:
        assert [asked(house, ZERO | {"stream": True}) for _ in range(2)] == ["miss", "miss"]


def test_another_client_gets_nothing_of_it() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS + CLIENTS, a=up.url)) as house:
        assert [asked(house, ZERO, key(name)) for name in ("alice", "bobby", "alice")] == ["miss", "miss", "hit"]


def test_clients_may_share() -> None:
    settings = KEEPS + "private = false\n" + CLIENTS
    with Upstream(numbered()) as up, House(house_text("* = a", settings, a=up.url)) as house:
        assert [asked(house, ZERO, key(name)) for name in ("alice", "bobby")] == ["miss", "hit"]
        twice = b'{"temperature":1,' + json.dumps(ZERO).encode()[1:]
        assert asked(house, twice, key("alice")) == "bypass", "of two readers each may read something else"


def test_but_not_what_one_of_them_may_not_use() -> None:
    clients = CLIENTS.replace("[client bobby]\n", "[client bobby]\nupstreams = b\n")
    settings = KEEPS + "private = false\n" + clients
    with Upstream(numbered()) as up, Upstream([says("b")]) as other:
        with House(house_text("* = a, b", settings, a=up.url, b=other.url)) as house:
            assert asked(house, ZERO, key("alice")) == "miss"
            reply = house.post(PATH, ZERO, key("bobby"))
            assert what(reply) == "miss" and said(reply) == "b"
    settings = settings.replace("upstreams = b", "models = m2")
    with Upstream(numbered()) as up, House(house_text("* = a", settings, a=up.url)) as house:
        house.post(PATH, ZERO, key("alice"))
        assert house.post(PATH, ZERO, key("bobby"))[0] == 403


def test_without_clients_keys_are_told_apart() -> None:
    section = "base_url = {}\nforward_client_key = true\n"
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=section.format(up.url))) as house:
        assert [asked(house, ZERO, key(name)) for name in ("alice", "bobby", "alice")] == ["miss", "miss", "hit"]


def test_a_hit_counts_as_a_request_and_takes_no_tokens() -> None:
    clients = CLIENTS.replace("[client bobby]", "requests_per_minute = 3\ntokens_per_minute = 100000\n[client bobby]")
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS + clients, a=up.url)) as house:
        quota: Any = house.on_loop(lambda: house.proxy.service.quotas["alice"])
        assert asked(house, ZERO, key("alice")) == "miss"
        house.wait(lambda p: not p.service.flows)
        before = house.on_loop(lambda: quota.tokens.wait_for(100_000, time.monotonic()))
        assert [asked(house, ZERO, key("alice")) for _ in range(2)] == ["hit"] * 2
        house.wait(lambda p: not p.service.flows)
        after = house.on_loop(lambda: quota.tokens.wait_for(100_000, time.monotonic()))
        assert after <= before, "what it was charged is given back"
        assert house.post(PATH, ZERO, key("alice"))[0] == 429


def test_the_record_of_a_hit() -> None:
    prices = "[prices]\na/m = 1, 3\n"
    records: list[dict[str, Any]] = []
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS + prices, a=up.url)) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(records.append))
        for _ in range(2):
            house.post(PATH, ZERO)
        house.wait(lambda p: not p.service.flows)
        house.on_loop(house.proxy.service.observers.flush)
        miss, hit = records
        assert miss["proxy.cache"] == "miss" and "proxy.cache.saved_usd" not in miss and miss["proxy.cost_usd"] > 0
        assert hit["proxy.cache"] == "hit" and hit["attempts"] == 0 and hit["status"] == 200
        assert hit["proxy.cost_usd"] == 0 and hit["proxy.cache.saved_usd"] == miss["proxy.cost_usd"]
        assert hit["proxy.cache.saved_tokens"] == 2 and hit["gen_ai.usage.output_tokens"] is None
        assert (hit["upstream"], hit["upstream_model"]) == ("a", "m")
        saved = house.on_loop(lambda: house.proxy.service.cache.saved["hit"])  # type: ignore[union-attr]
        assert (saved.input, saved.output) == (1, 1) and saved.usd == pytest.approx(4e-6)


def test_across_protocols_the_client_gets_what_the_first_one_got() -> None:
    ask = {"model": "m", "max_tokens": 9, "temperature": 0, "messages": ASK["messages"], "metadata": {"user_id": "1"}}
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        for stream in (False, True):
            first = house.post("/v1/messages", ask | {"stream": stream})
            second = house.post("/v1/messages", ask | {"stream": stream, "metadata": {"user_id": "2"}})
            assert (what(first), what(second)) == ("miss", "hit") and first[2] == second[2]
        assert len(up.requests) == 2
        responses = {"model": "m", "temperature": 0, "input": "hi"}
        assert asked(house, responses, path="/v1/responses") == "bypass", "it is kept under its id"
        responses["store"] = False
        assert [asked(house, responses, path="/v1/responses") for _ in range(2)] == ["miss", "hit"]
        building = responses | {"previous_response_id": "resp_1"}
        house.post("/v1/responses", building)
        assert house.on_loop(lambda: len(house.proxy.service.cache.entries)) == 3  # type: ignore[union-attr]


def test_settings_that_change_keep_what_is_kept_and_drop_what_has_no_room(tmp_path: Any) -> None:
    with Upstream(numbered()) as up:
        text = house_text("* = a", KEEPS, a=up.url)
        with House(text, file=tmp_path / "settings.ini") as house:
            house.post(PATH, ZERO)
            (tmp_path / "settings.ini").write_text(text.replace("models = *", "models = *\nmb = 1"))
            house.wait(lambda p: p.service.settings.cache.mb == 1)
            assert asked(house, ZERO) == "hit"
            (tmp_path / "settings.ini").write_text(text.replace(KEEPS, ""))
            house.wait(lambda p: p.service.cache is None)
            assert asked(house, ZERO) == ""


def test_the_temperature_of_each_protocol_counts(tmp_path: Any) -> None:
    """Gemini has it, and the model's name, elsewhere."""
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        ask = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"temperature": 0}}
        path = "/v1beta/models/{}:generateContent"
        assert [asked(house, ask, path=path.format(model)) for model in "mmn"] == ["miss", "hit", "miss"]
        assert asked(house, ask | {"generationConfig": {"temperature": 1}}, path=path.format("m")) == "bypass"
