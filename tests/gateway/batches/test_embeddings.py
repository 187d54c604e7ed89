"""Small requests for embeddings that go upstream as one."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from gateway.batches.embeddings import shared_out, split
from tests.gateway.batches.test_messages import CLIENTS
from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import error, house_text
from translate.json import wire

PATH = "/v1/embeddings"
WAITS = "[batches]\nembeddings_ms = {}\nembeddings_inputs = {}\n[prices]\na/m = 1, 3\n"


def vector(each: Any) -> list[float]:
    return [float(len(each)), 0.5]


def embeds(request: Any) -> Answer:
    said = request.json["input"]
    inputs = said if isinstance(said, list) and said and not isinstance(said[0], int) else [said]
    data = [{"object": "embedding", "index": n, "embedding": vector(each)} for n, each in enumerate(inputs)]
    tokens = 7 * len(inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Answer.json({"object": "list", "data": data, "model": "m", "usage": usage})


def ask(house: House, *inputs: Any, headers: Any = None, **more: Any) -> list[tuple[int, dict[str, str], Any]]:
    """All at the same time."""
    with contextlib.ExitStack() as stack:
        several = [stack.enter_context(house.connect()) for _ in inputs]
        for client, said in zip(several, inputs, strict=True):
            client.send("POST", PATH, {"model": "m", "input": said} | more, headers)
        replies = [client.reply() for client in several]
    return [(status, head, wire.loads(body)) for status, head, body in replies]


def house_of(url: str, most: int, more: str = "", wait_ms: int = 10_000) -> House:
    return House(house_text("* = a", WAITS.format(wait_ms, most) + more, a=url))


def test_several_become_one_and_each_gets_its_own_part() -> None:
    records: list[dict[str, Any]] = []
    with Upstream(embeds) as up, house_of(up.url, 5) as house:
        house.on_loop(lambda: house.proxy.service.observers.on_finished.append(records.append))
        replies = ask(house, "a", ["bb", "ccc"], "dddd", ["eeeee"])
        assert len(up.requests) == 1 and len(up.requests[0].json["input"]) == 5
        wanted = [["a"], ["bb", "ccc"], ["dddd"], ["eeeee"]]
        for (status, head, body), inputs in zip(replies, wanted, strict=True):
            assert status == 200 and head["x-proxy-upstream"] == "a"
            assert [row["embedding"] for row in body["data"]] == [vector(each) for each in inputs]
            assert [row["index"] for row in body["data"]] == list(range(len(inputs)))
            assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > 0
        assert sum(body["usage"]["prompt_tokens"] for *_, body in replies) == 35
        house.wait(lambda p: not p.service.flows)
        house.on_loop(house.proxy.service.observers.flush)
        assert len(records) == 4 and sum(each["attempts"] for each in records) == 1
        assert sum(each["gen_ai.usage.input_tokens"] for each in records) == 35
        assert sum(each["proxy.cost_usd"] for each in records) == pytest.approx(35e-6)
        assert {each["upstream"] for each in records} == {"a"}


def test_tokens_go_with_tokens() -> None:
    with Upstream(embeds) as up, house_of(up.url, 2) as house:
        replies = ask(house, [1, 2, 3], [[4], [5, 6]], "text", "more")
        assert [len(body["data"]) for *_, body in replies] == [1, 2, 1, 1]
        assert sorted(len(request.json["input"]) for request in up.requests) == [2, 2, 3], "one of tokens went alone"


@pytest.mark.parametrize(("one", "other"), [({"dimensions": 2}, {}), ({"encoding_format": "base64"}, {"user": "x"})])
def test_only_what_is_alike_goes_together(one: dict[str, Any], other: dict[str, Any]) -> None:
    with Upstream(embeds) as up, house_of(up.url, 9, wait_ms=50) as house, house.connect() as a, house.connect() as b:
        for client, more in ((a, one), (b, other)):
            client.send("POST", PATH, {"model": "m", "input": "x"} | more)
        assert a.reply()[0] == b.reply()[0] == 200
        assert len(up.requests) == 2, "each has waited for nobody"


def test_clients_do_not_go_together() -> None:
    with Upstream(embeds) as up, house_of(up.url, 9, CLIENTS, 50) as house, house.connect() as a, house.connect() as b:
        for client, name in ((a, "alice"), (b, "bobby")):
            key = {"Authorization": f"Bearer {name}-key-0123456789"}
            client.send("POST", PATH, {"model": "m", "input": "x"}, key)
        assert a.reply()[0] == b.reply()[0] == 200 and len(up.requests) == 2


def test_where_one_is_at_fault_each_goes_alone() -> None:
    def answer(request: Any) -> Answer:
        return error(400, "too long") if "bad" in request.json["input"] else embeds(request)

    with Upstream(answer) as up, house_of(up.url, 3) as house:
        replies = ask(house, "a", "bad", "c")
        assert sorted(status for status, *_ in replies) == [200, 200, 400] and len(up.requests) == 4


def test_any_other_error_is_everybodys() -> None:
    with Upstream([error(429, "later", {"Retry-After": "60"})]) as up, house_of(up.url, 2) as house:
        replies = ask(house, "a", "b")
        assert [status for status, *_ in replies] == [429] * 2 and len(up.requests) == 1
        assert {head["retry-after"] for _, head, _ in replies} == {"60"}


def test_one_that_leaves_takes_nothing_from_the_others() -> None:
    with Upstream(embeds) as up, house_of(up.url, 3) as house, house.connect() as leaver:
        leaver.send("POST", PATH, {"model": "m", "input": "gone"})
        house.wait(lambda p: len(p.service.flows) == 1)
        leaver.socket.close()
        house.wait(lambda p: not p.service.flows)
        assert [status for status, *_ in ask(house, "a", "b")] == [200, 200]
        assert sorted(up.requests[0].json["input"]) == ["a", "b"]


def test_large_ones_and_other_endpoints_do_not_wait() -> None:
    with Upstream(embeds) as up, house_of(up.url, 2) as house:
        for said in ("x" * 20_000, ["a", "b"], []):
            ask(house, said)
        assert len(up.requests) == 3
        assert house.on_loop(lambda: house.proxy.service.embeddings.told["sent"]) == 0


def test_what_is_shared_out_is_the_whole() -> None:
    for whole in (0, 1, 7, 100):
        for sizes in ([1], [1, 1, 1], [3, 5, 1], [0, 0], [1000, 1]):
            parts = shared_out(whole, sizes)
            assert sum(parts) == whole or not sum(sizes)
    assert split(b"{}", [(1, 1)]) is None and split(b'{"data":[{"index":1}]}', [(1, 1)]) is None
