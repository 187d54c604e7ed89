"""./run.sh doctor: what it says of upstreams that lack this or that, and which settings it gives for them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console.doctor import advice, command, models, probes, reach
from console.doctor.findings import Finding, shortened
from gateway.refusals.learned_quirks import Quirk
from operate.settings import load
from tests.support.script import Answer, Request, Upstream
from tests.upstream import scripted
from tests.upstream.scripted import CERTIFICATE
from upstream.way import Way

KEY = "sk-planted-Secret-1234567890"
MODEL = "tiny-model"


class Server:
    """A Chat server that lacks what `lacks` names. seen: the bodies that it was sent."""

    def __init__(self, *lacks: str) -> None:
        self.lacks = lacks
        self.seen: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Answer:
        if request.path == "/v1/models":
            return Answer.json({"data": [{"id": "text-embedding-9"}, {"id": MODEL}]})
        if request.path != "/v1/chat/completions":
            return Answer.json({"error": {"message": "no such path"}}, 404)
        body = request.json
        self.seen.append(body)
        if refusal := self._refusal(body):
            return Answer.json({"error": {"message": f"{refusal} (your key: {KEY})"}}, 400)
        message = self._message(body)
        if not body.get("stream"):
            return Answer.json({"choices": [{"message": message, "finish_reason": "stop"}], "usage": self._usage()})
        usage = {} if "usage" in self.lacks else {"usage": self._usage()}
        chunk = {"choices": [{"delta": message, "finish_reason": "stop"}], **usage}
        return Answer.sse(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode())

    def _usage(self) -> dict[str, int]:
        return {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}

    def _refusal(self, body: dict[str, Any]) -> str:
        if "wholes" in self.lacks and not body.get("stream"):
            return "This model only supports stream mode"
        for field in ("max_tokens", "stream_options", "reasoning_effort", "prompt_cache_key", probes.UNKNOWN):
            if field in body and field in self.lacks:
                return f"Unsupported parameter: '{field}'"
        if "images" in self.lacks and "image_url" in json.dumps(body):
            return "no pictures here"
        return "response_format is unknown" if "format" in self.lacks and "response_format" in body else ""

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        said = {"role": "assistant", "content": "OK, red."}
        if "think" in self.lacks:
            said["content"] = "<think>hm</think>OK, red."
        if body.get("response_format") and "sense" in self.lacks:
            return said | {"content": '{"side": "left", "more": 1}'}
        if body.get("response_format") and "schema" not in self.lacks:
            return said | {"content": '{"side": "left"}'}
        if body.get("tools") and "tools" not in self.lacks:
            function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
            calls = [{"index": n, "id": f"c{n}", "type": "function", "function": function} for n in range(2)]
            return said | {"content": None, "tool_calls": calls}
        return said


Examine = Callable[..., tuple[int, str]]


@pytest.fixture
def examine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Examine:
    """(exit code, what was said) of a doctor's visit to one upstream named `up`."""

    def visit(
        url: str, *options: str, section: str = "protocol = chat", more: str = "", keys: str = f"api_key = {KEY}"
    ) -> tuple[int, str]:
        file = tmp_path / "doctor.ini"
        file.write_text(f"[upstream up]\nbase_url = {url}\n{keys}\n{section}\n{more}")
        code = command.main(["up", "--config", str(file), *options])
        held = capsys.readouterr()
        assert KEY not in held.out + held.err
        return code, held.out + held.err

    return visit


def section_of(said: str) -> list[str]:
    """The printed section, without its remarks; it is read as settings to see that it can be pasted."""
    lines = [line.strip() for line in said[said.index("  [upstream up]") :].split("\n\n")[0].splitlines()]
    assert load.read("\n".join(lines), "printed.ini", environ={}).upstreams["up"]
    return [line for line in lines if not line.startswith("#")]


def mark_of(said: str, what: str) -> str:
    return next(line.split()[0] for line in said.splitlines() if line[8:].startswith(what))


def test_a_server_that_has_it_all(examine: Examine) -> None:
    server = Server()
    with Upstream(server) as up:
        code, said = examine(up.url, "--yes")
    assert code == command.USABLE
    assert section_of(said) == ["[upstream up]", "protocol = chat", f"base_url = {up.url}"]
    assert "Usable, by chat" in said and f"Model '{MODEL}' will get {len(probes.PROBES)} small requests" in said
    marks = {line[:8].strip() for line in said.split("In chat:")[1].splitlines() if line.startswith("  ") and line[8:]}
    assert {"no", "so-so"}.isdisjoint(marks)
    assert len(server.seen) == len(probes.PROBES)
    assert all(body["max_tokens"] == probes.MAX_TOKENS for body in server.seen)


@pytest.mark.parametrize(
    ("lack", "what", "mark", "line"),
    [
        ("images", "image", "no", "images = false"),
        ("schema", "structured output", "no", "output_schema = tool"),
        ("format", "structured output", "no", "output_schema = tool"),
        ("sense", "structured output", "no", "output_schema = tool"),
        ("usage", "stream", "so-so", ""),
        ("tools", "tool call", "so-so", ""),
        ("tools", "parallel calls", "so-so", ""),
        ("max_tokens", "answer", "ok", "max_tokens_field = max_completion_tokens"),
        ("stream_options", "stream", "ok", "stream_options = false"),
        ("reasoning_effort", "usual fields", "so-so", "reasoning_effort = false"),
        ("prompt_cache_key", "usual fields", "so-so", "drop = prompt_cache_key"),
        (probes.UNKNOWN, "unknown fields", "so-so", ""),
        ("think", "answer", "ok", "reasoning = think_tags"),
    ],
)
def test_what_a_server_lacks(examine: Examine, lack: str, what: str, mark: str, line: str) -> None:
    with Upstream(Server(lack)) as up:
        code, said = examine(up.url, "--yes")
    assert code == command.USABLE and mark_of(said, what) == mark
    assert section_of(said)[1:] == ["protocol = chat", f"base_url = {up.url}", *([line] if line else [])]


def test_one_that_gives_no_whole_replies_is_asked_for_streams(examine: Examine) -> None:
    """As the proxy asks it. It lacks nothing else, and no setting need say so."""
    server = Server("wholes")
    with Upstream(server) as up:
        code, said = examine(up.url, "--yes")
    assert code == command.USABLE and section_of(said) == ["[upstream up]", "protocol = chat", f"base_url = {up.url}"]
    assert all(mark_of(said, what) == "ok" for what in ("answer", "tool call", "image", "structured output"))
    assert len(server.seen) == len(probes.PROBES) + 1 and all(body.get("stream") for body in server.seen[1:])


def test_what_is_dropped_already_stays_so(examine: Examine) -> None:
    with Upstream(Server("prompt_cache_key")) as up:
        _, said = examine(up.url, "--yes", section="protocol = chat\ndrop = user")
    assert "drop = user, prompt_cache_key" in section_of(said) and "# it was user" in said


def test_a_setting_that_does_not_fit_any_more_is_told(examine: Examine) -> None:
    """llama.cpp says who it is, and its preset brings what its section need not say then."""
    server = Server()

    def named(request: Request) -> Answer:
        answer = server(request)
        answer.headers["Server"] = "llama.cpp"
        return answer

    with Upstream(named) as up:
        _, said = examine(up.url, "--yes", section="protocol = chat\nrebuild = false")
    assert section_of(said)[1:] == ["preset = llamacpp", f"base_url = {up.url}", "rebuild = false"]


def test_nothing_is_asked_before_somebody_has_agreed(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    with Upstream(server) as up:
        code, said = examine(up.url)
        assert code == command.UNTRIED and "--yes" in said
        monkeypatch.setattr(command.sys.stdin, "isatty", lambda: True)  # type: ignore[attr-defined]
        for word in ("n", "", "no"):
            monkeypatch.setattr("builtins.input", lambda question, word=word: word)
            assert examine(up.url)[0] == command.UNTRIED
        monkeypatch.setattr("builtins.input", _nobody)
        assert examine(up.url)[0] == command.UNTRIED
        assert server.seen == []
        monkeypatch.setattr("builtins.input", lambda question: "y")
        assert examine(up.url)[0] == command.USABLE
    assert "at most 4,096 out" in said


def _nobody(question: str) -> str:
    raise EOFError


def test_the_price_is_told_where_it_is_known(examine: Examine) -> None:
    with Upstream(Server()) as up:
        _, said = examine(up.url, more="[prices]\ntiny-* = 1000, 100\n")
    assert f"at most ${(8 * probes.TOKENS_IN * 1000 + 8 * probes.MAX_TOKENS * 100) / 1e6:.3f}" in said


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer.json({"error": {"message": f"bad key {KEY}"}}, 401), "check its api_key"),
        (Answer.json({"error": {"message": "no model"}}, 404), "check the model"),
        (Answer.json({"error": {"message": "slow down"}}, 429), "or limits"),
        (Answer(200, {"Content-Type": "text/html"}, b"<html>hi</html>"), "base_url"),
        (Answer.drop(), "connection was lost"),
    ],
)
def test_one_that_answers_nothing_is_not_asked_on(examine: Examine, answer: Answer, words: str) -> None:
    with Upstream([answer]) as up:
        code, said = examine(up.url, "--yes", "--model", "m")
        asked = [request for request in up.requests if request.path == "/v1/chat/completions"]
    assert code == command.UNUSABLE and words in said and "the other probes were not tried" in said
    assert len(asked) == 1


def test_one_whose_streams_do_not_work_is_not_usable(examine: Examine) -> None:
    """Claude Code and Codex only stream."""
    server = Server()

    def whole(request: Request) -> Answer:
        if request.path.endswith("completions") and request.json.get("stream"):
            return Answer.json({"error": {"message": "streaming is not supported"}}, 400)
        return server(request)

    with Upstream(whole) as up:
        code, said = examine(up.url, "--yes")
    assert code == command.UNUSABLE and mark_of(said, "answer") == "ok" and mark_of(said, "stream") == "no"
    assert "Not usable: it answers (chat), but its streams do not work" in said and "Claude Code, Codex" in said


def test_each_of_several_keys_is_tried(examine: Examine) -> None:
    server = Server()
    used: set[str] = set()

    def second_only(request: Request) -> Answer:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.path.endswith("completions"):
            used.add(key)
            if key == KEY:
                return Answer.json({"error": {"message": f"{KEY} was revoked"}}, 401)
        return server(request)

    with Upstream(second_only) as up:
        code, said = examine(up.url, "--yes", keys=f"keys = {KEY}, sk-second-0000000002, sk-third-00000000003")
    assert code == command.USABLE and [mark_of(said, f"key {n}") for n in (1, 2, 3)] == ["no", "ok", "ok"]
    assert "Usable, by chat, but key 1 of 3 is refused." in said and len(used) == 3
    assert f"will get {len(probes.PROBES) + 3} small requests" in said


def test_it_says_the_same_as_json(examine: Examine) -> None:
    with Upstream(Server("images")) as up:
        code, said = examine(up.url, "--yes", "--json")
        told = json.loads(said)
        _, untried = examine(up.url, "--json")
    (found,) = told["upstreams"]
    assert code == command.USABLE and found["verdict"] == "usable" and found["base_url"] == up.url
    marks = {(each["protocol"], each["what"]): each["mark"] for each in found["findings"]}
    assert marks["chat", "image"] == "no" and marks["chat", "stream"] == "ok" and marks["", "models"] == "ok"
    assert "images = false" in found["settings"]
    assert json.loads(untried)["upstreams"][0]["verdict"] == "untried"


def test_one_protocol_of_several_that_works_is_enough(examine: Examine) -> None:
    with Upstream(Server()) as up:
        code, said = examine(up.url, "--yes", section="protocol = responses, messages, chat")
    assert code == command.USABLE and "Usable, by chat." in said
    assert "protocol = chat" in section_of(said) and "# it was responses, messages, chat" in said


def test_a_protocol_that_is_not_claimed_is_found(examine: Examine) -> None:
    server = Server()

    def both(request: Request) -> Answer:
        if request.path == "/v1/responses":
            return Answer.json({"error": {"message": "input is missing"}}, 400)
        return server(request)

    with Upstream(both) as up:
        _, said = examine(up.url)
    assert "it seems to speak responses too" in said


def test_it_tells_of_what_may_be_overlooked(examine: Examine) -> None:
    """Where requests of Claude Code go there, and that no reverse proxy may stand before the proxy as it is."""
    with Upstream(Server()) as up:
        said = examine(up.url, "--yes", more="[models]\n* = up\n")[1]
    assert "that a reverse proxy forwards are refused" in said and "--permission-mode default" in said


def test_an_upstream_that_is_the_proxy_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "s.ini"
    file.write_text("[server]\nport = 8099\n[upstream up]\nprotocol = chat\nbase_url = http://localhost:8099\n")
    assert command.main(["up", "--yes", "--config", str(file)]) == command.UNUSABLE
    assert "this proxy itself" in capsys.readouterr().out


def test_one_that_is_not_there(examine: Examine) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        code, said = examine(f"http://127.0.0.1:{taken.getsockname()[1]}", "--yes")
    assert code == command.UNUSABLE and "check that it runs" in said
    code, said = examine("http://no-such-host.invalid", "--yes")
    assert code == command.UNUSABLE and "is not found" in said


def test_no_model_to_ask(examine: Examine) -> None:
    with Upstream([Answer.json({"data": []})]) as up:
        code, said = examine(up.url, "--yes")
    assert code == command.UNTRIED and "--model" in said and mark_of(said, "models") == "so-so"


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It costs nothing, so that nobody is asked; by default all that are on are visited."""
    file = tmp_path / "demo.ini"
    file.write_text("[upstream demo]\nprotocol = messages, chat, responses\nbase_url = demo:\n")
    assert command.main(["--config", str(file)]) == command.USABLE
    said = capsys.readouterr().out
    assert "Usable, by messages, chat, responses." in said and "base_url = demo:" in said
    assert "  no" not in said


@pytest.mark.parametrize(
    ("text", "argv", "code", "words"),
    [
        ("[upstream a]\nprotocol = chat\nbase_url = http://a\n", ["b"], 64, "no upstream 'b'; the upstreams are a"),
        ("[upstream a]\nprotocol = chat\nbase_url = http://a\nenabled = false\n", ["a"], 64, "is off"),
        ("[upstream a]\nprotocol = chat\nbase_url = http://a\nenabled = false\n", [], 64, "no upstream is on"),
        ("[upstream a]\nprotocol = chatt\n", ["a"], 78, "chatt"),
    ],
)
def test_what_cannot_be_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, argv: list[str], code: int, words: str
) -> None:
    file = tmp_path / "odd.ini"
    file.write_text(text)
    assert command.main([*argv, "--config", str(file)]) == code
    assert words in capsys.readouterr().err


# -------------------------------------------------------------------------------------------- its parts


def test_by_chat_where_only_chat_heeds_schemas() -> None:
    ignored = Finding("structured output", "no", "", {"output_schema": "tool"})
    fine = Finding("structured output", "ok", "")
    assert advice.merged({"chat": [fine], "responses": [ignored]}, {}) == {"output_schema": "chat"}
    assert advice.merged({"chat": [ignored], "responses": [ignored]}, {}) == {"output_schema": "tool"}


def test_lessons_of_several_protocols_come_together() -> None:
    learned = {"chat": [Quirk("seed", "random_seed"), Quirk("user")], "responses": [Quirk("store"), Quirk("user")]}
    told = advice.merged({"chat": [], "responses": []}, learned)
    assert told == {"rename": "seed=random_seed", "drop": "user, store"}


def test_a_known_service_is_told_by_its_address() -> None:
    text = "[upstream up]\nprotocol = chat\nbase_url = {}\n"
    for url, preset in (
        ("https://api.groq.com/openai/v1", "groq"),
        ("http://127.0.0.1:8000", ""),
        ("https://example.com", ""),
    ):
        assert advice.guessed(load.read(text.format(url), environ={}).upstreams["up"], "uvicorn") == preset


@pytest.mark.parametrize(
    ("models_section", "names", "chosen"),
    [
        ("", ["whisper-1", "gpt-5.1", "gpt-5-mini"], "gpt-5-mini"),
        ("", ["big-one"], "big-one"),
        ("", ["text-embedding-3"], ""),
        ("x = up/gpt-5.1\n", ["gpt-5.1", "gpt-5-mini"], "gpt-5.1"),
        ("x = up/gone\n", ["gpt-5-mini"], "gpt-5-mini"),
        ("mine = up\ngpt-* = up\n", [], "mine"),
        ("gpt-* = up\n", [], ""),
    ],
)
def test_the_model_to_ask(models_section: str, names: list[str], chosen: str) -> None:
    text = f"[upstream up]\nprotocol = chat\nbase_url = http://a\n[models]\n{models_section}"
    assert models.chosen(load.read(text, environ={}), "up", names) == chosen


def test_tls_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "ca.pem"
    own.write_text(CERTIFICATE)

    async def look() -> list[list[Finding]]:
        async with scripted.Upstream(tls=True) as up:
            found = [await reach.reach(up.url, 5.0, Way()), await reach.reach(up.url, 5.0, Way(verify=False))]
            monkeypatch.setenv("SSL_CERT_FILE", str(own))
            return [*found, await reach.reach(up.url, 5.0, Way())]

    strange, unchecked, trusted = [found[-1] for found in asyncio.run(look())]
    assert strange.mark == "no" and strange.blocks and "not trusted" in strange.words
    assert unchecked.mark == "so-so" and "verify_tls = false" in unchecked.words
    assert trusted.mark == "ok" and trusted.words.startswith("TLSv1.3, certificate by ")


@pytest.mark.parametrize(("days", "mark"), [(90.5, "ok"), (3.5, "so-so")])
def test_a_certificate_that_is_soon_to_expire(days: float, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = {"notAfter": "Jan 31 00:00:00 2030 GMT", "issuer": ((("organizationName", "Somebody's CA"),),)}
    until = reach.ssl.cert_time_to_seconds("Jan 31 00:00:00 2030 GMT")
    monkeypatch.setattr(reach.time, "time", lambda: until - days * 86400)
    found = reach._certificate("TLSv1.3", certificate)
    assert found.mark == mark
    assert found.words.startswith(f"TLSv1.3, certificate by Somebody's CA until 2030-01-31 ({int(days)} days)")


def test_a_terminal_is_told_nothing_to_obey() -> None:
    assert shortened("a\x1b[2J\n b" + "c" * 500, 20) == "a?[2J bcccccccccc..."
