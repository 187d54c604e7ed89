"""./run.sh bench: what it measures, what it may cost, and what it makes of it."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from bench import command, drawing, far_certificate, http2, plan, report, servers
from bench.client import Client, Reply, Request
from bench.load import GIVE_UP, Run, Way, compare, percentile
from bench.plan import Own, Sizes, Target
from bench.relay import Relay
from bench.speech import MOST, SPEECHES, named
from tests.support.house import House
from tests.support.script import Answer, Upstream

HELLO = Request("GET", "/")
SIZES = Sizes(one=6, many=16, clients=4, fresh=4, warm=1)


@pytest.fixture(scope="module")
def brought() -> Iterator[servers.Child]:
    """The upstream that the bench brings along."""
    with servers.upstream() as child:
        yield child


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run_it(*args: Any, **named_ones: Any) -> None:
        asyncio.run(test(*args, **named_ones))

    return run_it


def reply(total_s: float, **headers: str) -> Reply:
    return Reply(200, headers, b"", 0.0, total_s / 2, total_s)


def run(name: str, *totals: float, failed: int = 0) -> Run:
    bad = [Reply(500, {}, b"it broke") for _ in range(failed)]
    return Run(Way(name, "http://x", HELLO), 1, [*(reply(each) for each in totals), *bad], 1.0)


def target(*, is_paid: bool, direct: str = "http://up") -> Target:
    return Target(
        "mine", named("chat"), direct, "sk-up", "m", "http://proxy", "sk-proxy",
        lambda speech: {"to chat" if speech is not named("chat") else "passed through": "up/m"}, lambda: None,
        is_paid=is_paid,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the client


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda speech: speech.name)
@pytest.mark.parametrize("stream", [False, True])
@in_a_loop
async def test_the_upstream_answers_as_its_protocols_do(brought: servers.Child, speech, stream) -> None:
    client = Client(brought.urls[0])
    answers = [await client.ask(speech.request("bench", "k", stream=stream)) for _ in range(2)]
    await client.close()
    assert all(answer.is_good for answer in answers), answers[0].words()
    assert speech.done in answers[0].body if stream else json.loads(answers[0].body)
    assert answers[0].body.startswith(b"{") is not stream and answers[0].body == answers[1].body
    assert answers[0].connect_s > 0 and answers[1].connect_s == 0  # the connection was kept
    assert 0 < answers[0].first_s <= answers[0].total_s


@in_a_loop
async def test_a_client_may_dial_anew(brought: servers.Child) -> None:
    client = Client(brought.urls[0], fresh=True)
    answers = [await client.ask(named("chat").request("bench", "k", stream=False)) for _ in range(2)]
    assert all(answer.connect_s > 0 for answer in answers)


@in_a_loop
async def test_the_models_name_says_how_the_upstream_answers(brought: servers.Child) -> None:
    client = Client(brought.urls[0])
    many = await client.ask(named("chat").request("bench-e50", "k", stream=True))
    long = await client.ask(named("chat").request("bench-b5000", "k", stream=False))
    paced = await client.ask(named("chat").request("bench-e3-g20", "k", stream=True))
    await client.close()
    assert many.body.count(b'"word "') == 50
    assert len(json.loads(long.body)["choices"][0]["message"]["content"]) == 5000
    assert paced.body.endswith(b"[DONE]\n\n") and paced.total_s >= 0.06 > paced.first_s


@in_a_loop
async def test_what_breaks_is_told() -> None:
    with Upstream([Answer.json({"error": "no"}, 429), Answer(body=b"{}", short=5, end="close"), Answer.drop()]) as up:
        client = Client(up.url)
        answers = [await client.ask(HELLO) for _ in range(3)]
    assert [answer.is_good for answer in answers] == [False] * 3
    assert answers[0].words() == '429: {"error": "no"}'
    assert all("Incomplete" in answer.words() or "Reset" in answer.words() for answer in answers[1:])
    assert "Refused" in (await Client(up.url).ask(HELLO)).words()


# ------------------------------------------------------------------------------------------------ the load


def test_percentiles_are_values_that_were_there() -> None:
    assert percentile([], 0.5) is None
    assert [percentile([3.0, 1.0, 2.0], share) for share in (0.01, 0.5, 0.95)] == [1.0, 2.0, 3.0]
    assert percentile(range(1, 101), 0.99) == 99


@in_a_loop
async def test_ways_take_turns_and_each_gets_its_requests() -> None:
    with Upstream([Answer.json({})]) as up:
        ways = [Way(name, up.url, Request("GET", f"/{name}")) for name in ("a", "b")]
        runs = await compare(ways, 10, clients=2, warm=1)
        order = "".join(request.path[1] for request in up.requests)
    assert [len(each.replies) for each in runs] == [10, 10]
    assert order == "a" + "b" + "aabb" + "aaabbb" + "aabb" + "aaabbb"


@in_a_loop
async def test_a_way_that_only_fails_is_given_up() -> None:
    with Upstream([Answer.json({"error": "no credit"}, 402)]) as up:
        (failed,) = await compare([Way("a", up.url, HELLO)], 100)
        assert len(up.requests) == GIVE_UP
    assert failed.gave_up and not failed.good and "402" in failed.failed[0].words()


@in_a_loop
async def test_a_relay_is_a_long_line() -> None:
    with Upstream([Answer.json({})]) as up:
        async with Relay("127.0.0.1", up.port, 0.04) as relay:
            client = Client(f"http://127.0.0.1:{relay.port}")
            first, second = [await client.ask(HELLO) for _ in range(2)]
            await client.close()
    assert first.is_good and second.is_good
    assert first.total_s >= 0.08 > second.total_s - 0.04 and second.total_s >= 0.04


@in_a_loop
async def test_a_proxy_speaks_http_2_with_the_upstream(brought: servers.Child, tmp_path: Path) -> None:
    """So that many requests at once are on one connection, where HTTP/1.1 needs one for each."""
    (tmp_path / "far.pem").write_text(far_certificate.CERTIFICATE)
    async with Relay("127.0.0.1", urlsplit(brought.urls[1]).port or 0, 0.05) as relay:
        text = f"[upstream far]\nprotocol = chat\nbase_url = https://localhost:{relay.port}\napi_key = x\n"
        with servers.proxy(f"{text}ca_file = {tmp_path / 'far.pem'}\n", ("pool.http2=true",)) as proxy:
            clients = [Client(proxy.urls[0]) for _ in range(4)]
            asked = named("chat").request("far/bench-b20000", servers.KEY, stream=False)
            answers = [await clients[0].ask(asked)]
            answers += await asyncio.gather(*(client.ask(asked) for client in clients))
            connections = len(relay._tasks)
            await asyncio.gather(*(client.close() for client in clients))
    assert all(answer.is_good for answer in answers), answers
    assert all(len(answer.body) > 20_000 and json.loads(answer.body) for answer in answers)
    assert connections == 1


def test_http_2_is_answered_in_small_pieces_too() -> None:
    """A connection's bytes may come one by one; what is no HTTP/2 is refused."""
    said: list[bytes] = []
    session = http2.Session(said.append, lambda body: (b"text/plain", body * 2))
    frames = [(http2.SETTINGS, 0, 0, b""), (http2.PING, 0, 0, b"12345678"), (http2.HEADERS, 4, 1, b"?"),
              (http2.DATA, 0, 1, b"ab"), (http2.DATA, 1, 1, b"c"), (http2.HEADERS, 5, 3, b"?")]  # fmt: skip
    wire = http2.PREFACE + b"".join(
        len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
        for kind, flags, stream, payload in frames
    )
    for each in wire:
        session.feed(bytes([each]))
    kinds = [(piece[3], piece[4], int.from_bytes(piece[5:9]), piece[9:]) for piece in said]
    assert kinds[:3] == [(4, 0, 0, b""), (4, 1, 0, b""), (6, 1, 0, b"12345678")]
    assert [(kind, stream) for kind, _, stream, _ in kinds[3:]] == [(8, 0), (8, 0), (1, 1), (0, 1), (1, 3), (0, 3)]
    assert kinds[6][3] == b"abcabc" and kinds[8][3] == b"" and kinds[8][1] == 1
    with pytest.raises(ValueError):
        http2.Session(said.append, lambda body: (b"", body)).feed(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")


# ------------------------------------------------------------------------------------------------ the plan


def test_what_may_cost_is_bounded_and_told() -> None:
    planned = plan.steps(target(is_paid=True), Own("http://own"), SIZES)
    asked = [(step, way) for step in planned for way in step.ways if step.is_paid]
    assert plan.cost(planned)[0] == sum(step.requests + step.warm for step, _ in asked) == 142
    assert plan.cost(planned)[2] == 142 * MOST
    assert {way.request.path for _, way in asked if way.name == "direct"} == {"/v1/chat/completions"}
    assert not any(step.is_paid for step in planned if step.kind in ("models", "logging", "far"))
    assert plan.cost(plan.steps(target(is_paid=False), Own("http://own"), SIZES)) == (0, 0, 0)


def test_each_side_gets_its_own_key_and_the_limit() -> None:
    for step in plan.steps(target(is_paid=True), Own("http://own"), SIZES):
        for way in step.ways:
            keys = dict(way.request.headers).get("x-api-key")
            assert keys == ("sk-up" if way.name == "direct" else "sk-proxy")
            body = json.loads(way.request.body or b"{}")
            limits = body.get("generationConfig", body)
            assert not body or MOST in map(limits.get, ("max_tokens", "max_output_tokens", "maxOutputTokens"))


def test_without_a_direct_way_there_is_none() -> None:
    planned = plan.steps(target(is_paid=True, direct=""), Own("http://own"), SIZES)
    assert not [way for step in planned for way in step.ways if way.name == "direct"]


# ------------------------------------------------------------------------------------------------ the report


def step(kind: str, words: str = "w") -> plan.Step:
    return plan.Step(kind, words, (), 1)


def test_the_classic_table() -> None:
    measured = [
        (step("whole", "chat whole"), [run("direct", 0.1), run("passed through", 0.101, 0.101)]),
        (step("models"), [run("proxy", 0.049, 0.051)]),
        (step("logging"), [run("logging off", 0.001), run("logging debug", 0.012), run("logging production", 0.002)]),
        (step("far", "far"), [
            run("direct, dialled anew", 0.15), run("direct, kept", 0.05), run("proxy, dialled anew", 0.06),
            run("proxy, dialled anew, HTTP/2", 0.075),
        ]),
        (step("many whole"), [run("passed through", *[0.1] * 98, failed=2)]),
    ]  # fmt: skip
    found = {each.name: each for each in report.classic(measured, report.Start(0.1, 0.3, 0.02, (89, 100), 5e7))}
    assert found["warm chat whole, passed through"].value.endswith("direct P50 100: +1.00 ms")
    assert found["/v1/models, p95"].holds is False
    assert found["logging production, against none, P50"].holds is True
    assert found["logging debug, against none, P50"].holds is False
    assert "2.5 times as fast" in found["far, for clients that dial anew"].value
    assert "0.83 times as fast" in found["far, for a client that keeps its connection"].value
    assert "2.0 times as fast" in found["far and HTTP/2, for clients that dial anew"].value
    assert "0.67 times as fast" in found["far and HTTP/2, for a client that keeps its connection"].value
    assert found["connections to the upstream reused"].holds is False
    assert found["errors"].holds is False and found["errors"].value.startswith("1.8 %")
    text = "\n".join(report.tables(measured) + report.figures([*found.values()]))
    assert "2 failed: 500: it broke" in text and "NOT MET" in text


def test_nothing_measured_is_no_success() -> None:
    found = report.classic([(step("models"), [run("proxy", failed=3)]), (step("far"), [run("direct, kept")])], None)
    assert {each.name: (each.value, each.holds) for each in found} == {
        "/v1/models, p95": ("not measured", None), "w": ("not measured", None),
        "w and HTTP/2": ("not measured", None), "errors": ("100.0 % of 3", False),
    }  # fmt: skip


def test_what_the_proxy_says_that_it_took_is_read() -> None:
    one = Run(Way("a", "http://x", HELLO), 1, [reply(0.1, **{"x-proxy-overhead-ms": "0.25"}), reply(0.1)])
    assert one.overheads() == [0.00025]


def test_pictures_are_svg() -> None:
    bars = drawing.bars("a <title>", {"group": [drawing.Bar("one & two", 2.0, 4.0), drawing.Bar("nothing", 0.0)]}, "ms")
    points = tuple((10.0**power, 10.0 ** (power - 2)) for power in range(5))
    curve = drawing.curves("t", [drawing.Curve("c", points), drawing.Curve("none", ((0.0, 1.0),))], "bytes", "ms")
    for text in (bars, curve, drawing.bars("nothing", {}, "ms")):
        assert ElementTree.fromstring(text).tag.endswith("svg")
    assert curve.count("<circle") == 5 and "stroke-dasharray" in curve


# ------------------------------------------------------------------------------------------------ the command


def test_all_of_it_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / "deep" / name) for name in ("bench.json", "bench.svg")]
    code = command.main(["--requests", "2", "--clients", "2", "--json", files[0], "--svg", files[1]])
    said = capsys.readouterr()
    assert code in (command.EX_OK, command.NOT_MET), said.err
    assert "nothing leaves this machine" in said.out and "14 of 14" in said.err
    found = json.loads(Path(files[0]).read_text())
    ways = {(row["kind"], row["way"]) for row in found["rows"]}
    assert {("whole", "direct"), ("stream", "to messages"), ("many stream", "passed through")} <= ways
    assert not any(row["failed"] for row in found["rows"]), found["rows"]
    assert {"logging off", "logging production", "logging debug"} <= {way for _, way in ways}
    assert len([row for row in found["table"] if row["wanted"]]) == 7
    assert ElementTree.fromstring(Path(files[1]).read_text()).tag.endswith("svg")


def test_an_upstream_of_ones_own_is_asked_no_more_than_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> command.Brought:  # what the bench brings along is tried above
        return command.Brought("", Own(""), None, report.Start(0, 0, 0, (0, 0), None))  # type: ignore[arg-type]

    monkeypatch.setattr(command, "_brought", nothing)
    monkeypatch.setattr(command, "_ended", lambda brought: brought.start)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with Upstream([Answer.json({"error": {"message": "no credit"}}, 402)]) as up:
        words = [
            up.url,
            "--model",
            "m",
            "--key",
            "sk-secret",
            "--json",
            str(tmp_path / "j"),
            "--svg",
            str(tmp_path / "s"),
        ]
        assert command.main(words) == command.UNTRIED
        asked = [request for request in up.requests if request.method == "POST"]
        assert not asked and "at most 142 requests" in capsys.readouterr().out
        assert command.main([*words, "--yes"]) == command.NOT_MET
        asked = [request for request in up.requests if request.method == "POST"]
    assert 0 < len(asked) <= 142
    said = capsys.readouterr()
    assert "failed: 402" in said.out and "sk-secret" not in said.out + said.err + (tmp_path / "j").read_text()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nope"], "it begins with http"),
        (["ftp://x"], "it begins with http"),
        (["http://x:y"], "it begins with http"),
        (["http://:80"], "names a host"),
        (["--upstream", "nobody"], "there is no such upstream"),
        (["--upstream", "demo"], "leave --upstream out"),
    ],
)
def test_what_cannot_be_measured(
    words: list[str], why: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told before anything is started."""
    monkeypatch.setattr(command, "_brought", None)
    assert command.main(words) == command.EX_USAGE
    assert why in capsys.readouterr().err


def test_a_running_proxy_is_known_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> command.Brought:
        return command.Brought("", Own(""), None, report.Start(0, 0, 0, (0, 0), None))  # type: ignore[arg-type]

    monkeypatch.setattr(command, "_brought", nothing)
    monkeypatch.setattr(command, "_ended", lambda brought: brought.start)
    with House("[upstream demo]\nprotocol = chat\nbase_url = demo:\n[models]\ndemo = demo\n") as house:
        code = command.main([house.url, "--yes", "--json", str(tmp_path / "j"), "--svg", str(tmp_path / "s")])
    said = capsys.readouterr().out
    assert f"Measures the proxy at {house.url}, model 'demo'" in said
    found = json.loads((tmp_path / "j").read_text())
    assert code in (command.EX_OK, command.NOT_MET)
    assert {row["way"] for row in found["rows"]} == {"proxy"} and not any(row["failed"] for row in found["rows"])


def test_a_server_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(servers.NotStarted, match="protocol"), servers.proxy("[upstream x]\nbase_url = http://x\n"):
        pass
