"""A file that an upstream keeps is there for the key that brought it, and for no other: what names it goes there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import house_text, section

KEYS = "keys = sk-first-000000001, sk-other-000000002, sk-third-000000003\n"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n1\r\n--x--\r\n'
OPENAIS, ANTHROPICS = {"Authorization": "Bearer any-key"}, {"x-api-key": "any-key", "anthropic-version": "2023-06-01"}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
TIMES = 8  # that nobody meets the right one of three keys each time by chance


class Keeper:
    """Has files and cached contents, each for one key, and refuses what names those of another."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}

    def __call__(self, request: Request) -> Answer:
        key = "".join(request.headers.get(name, "") for name in ("authorization", "x-api-key", "x-goog-api-key"))
        if request.path.split("?")[0].endswith(("/files", "/cachedContents")):
            made = f"file-{len(self.owners)}x" if "files" in request.path else f"cachedContents/c{len(self.owners)}x"
            self.owners[made] = key
            return Answer.json({"id": made} if "files" in request.path else {"name": made})
        asked = re.findall(r"file-\d+x|cachedContents/c\d+x", request.body.decode())
        if any(self.owners.get(id) != key for id in asked):
            return Answer.json({"error": {"message": "no such file"}}, 400)
        return Answer.json({"choices": [CHOICE], "content": [], "input_tokens": 1, "totalTokens": 1, "data": []})


def asked(id: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """A request of each kind that names the file: its address and body."""
    document = {"type": "document", "source": {"type": "file", "file_id": id}}
    messages = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [document]}]}
    chat = [{"role": "user", "content": [{"type": "file", "file": {"file_id": id}}]}]
    gemini = {"cachedContent": id, "contents": [{"role": "user", "parts": [{"text": "x"}]}]}
    response = [{"role": "user", "content": [{"type": "input_file", "file_id": id}]}]
    return {
        "messages": ("/v1/messages", messages),
        "count": ("/v1/messages/count_tokens", messages),
        "bedrock": (
            "/model/m/invoke",
            {"anthropic_version": "x", **{k: v for k, v in messages.items() if k != "model"}},
        ),
        "chat": ("/v1/chat/completions", {"model": "m", "messages": chat}),
        "responses": ("/v1/responses", {"model": "m", "input": response}),
        "edits": ("/v1/images/edits", {"model": "m", "prompt": "x", "images": [{"file_id": id}]}),
        "gemini": ("/v1beta/models/m:generateContent", gemini),
    }


def brought(house: House, protocol: str) -> str:
    """Returns the id of a new file."""
    if protocol == "gemini":
        status, _, raw = house.post("/v1beta/cachedContents", {"model": "models/m", "contents": []})
        name: str = json.loads(raw)["name"]
        return name
    headers = ANTHROPICS if protocol == "messages" else OPENAIS
    status, _, raw = house.post("/v1/files", FILE, FORM | headers)
    assert status == 200, raw
    id: str = json.loads(raw)["id"]
    return id


CASES = [("messages", "messages"), ("messages", "count"), ("messages", "bedrock"), ("chat", "chat"), ("chat", "edits"),
         ("responses", "responses"), ("gemini", "gemini")]  # fmt: skip


@pytest.mark.parametrize(("protocol", "kind"), CASES)
def test_what_names_a_file_goes_with_the_key_that_brought_it(protocol: str, kind: str) -> None:
    with Upstream(Keeper()) as up, House(house_text("* = a", a=section(up.url, KEYS, protocol))) as house:
        id = brought(house, protocol)
        path, body = asked(id)[kind]
        assert [house.post(path, body)[0] for _ in range(TIMES)] == [200] * TIMES


@pytest.mark.parametrize("kind", ["chat", "edits"])
def test_it_goes_to_the_upstream_that_has_it(kind: str) -> None:
    with Upstream(Keeper()) as has, Upstream(Keeper()) as lacks:
        targets = {"a": section(lacks.url, "files = false\n"), "b": section(has.url, "files = true\n")}
        with House(house_text("m = a | b", **targets)) as house:
            id = brought(house, "chat")
            path, body = asked(id)[kind]
            assert [house.post(path, body)[0] for _ in range(TIMES)] == [200] * TIMES
        assert not lacks.requests


@pytest.mark.parametrize("protocol", ["chat", "messages"])
def test_no_other_is_asked_where_that_one_fails(protocol: str) -> None:
    """It would say that there is no such file, and a client would not try again."""
    keeper = Keeper()

    def answers(request: Request) -> Answer:
        said = keeper(request)
        return said if request.path.endswith("/files") else Answer.json({"error": {"message": "overloaded"}}, 503)

    with Upstream(answers) as has, Upstream(Keeper()) as lacks:
        targets = {"a": section(lacks.url, "files = false\n", protocol), "b": section(has.url, "files = true\n")}
        with House(house_text("m = b, a", "[retry]\nbackoff = 0.01\n", **targets)) as house:
            path, body = asked(brought(house, "chat"))["chat"]
            assert house.post(path, body)[0] == 503
        assert not lacks.requests


def test_what_names_no_file_that_is_known_is_shared_by_the_keys() -> None:
    with Upstream(lambda request: Answer.json({"choices": [CHOICE]})) as up:
        with House(house_text("* = a", a=section(up.url, KEYS))) as house:
            path, body = asked("file-of-old")["chat"]
            assert {house.post(path, body)[0] for _ in range(24)} == {200}
        assert len({request.headers["authorization"] for request in up.requests}) > 1


class Closed(Keeper):
    """The first key's account has no credit any more."""

    def __call__(self, request: Request) -> Answer:
        if "first" in str(request.headers):
            return Answer.json({"error": {"message": "Insufficient Balance"}}, 402)
        return Answer.json({"data": []}) if request.method == "GET" else super().__call__(request)


@pytest.mark.parametrize("protocol", ["messages", "chat", "responses"])
def test_files_are_brought_and_listed_with_a_key_that_works(protocol: str) -> None:
    with Upstream(Closed()) as up, House(house_text("* = a", a=section(up.url, KEYS, protocol))) as house:
        id = brought(house, protocol)
        path, body = asked(id)[protocol]
        assert house.post(path, body)[0] == 200
        assert house.get("/v1/files", ANTHROPICS if protocol == "messages" else OPENAIS)[0] == 200
        assert len([request for request in up.requests if "first" in str(request.headers)]) == 1


def test_contents_are_cached_and_listed_with_a_key_that_is_not_at_rest() -> None:
    def ask(text: int) -> dict[str, Any]:
        return {"contents": [{"role": "user", "parts": [{"text": f"{text}"}]}]}

    with Upstream(Closed()) as up, House(house_text("* = a", a=section(up.url, KEYS, "gemini"))) as house:
        path = asked("")["gemini"][0]
        assert {house.post(path, ask(number))[0] for number in range(40)} == {200}  # some of them meet the first key
        id = brought(house, "gemini")
        assert house.post(*asked(id)["gemini"])[0] == 200 and house.get("/v1beta/cachedContents")[0] == 200


class Busy(Keeper):
    """The first key takes no new files now."""

    def __call__(self, request: Request) -> Answer:
        if "first" in str(request.headers) and request.path == "/v1/files":
            return Answer.json({"error": {"message": "later"}}, 429)
        return super().__call__(request)


def test_a_batch_that_an_upstream_runs_goes_with_the_key_of_its_file() -> None:
    with Upstream(Busy()) as up:
        with House(house_text("* = a", a=section(up.url, KEYS + "batches = true\n", "messages"))) as house:
            id = brought(house, "messages")
            rows = {"requests": [{"custom_id": "a", "params": asked(id)["messages"][1]}]}
            assert house.post("/v1/messages/batches", rows, ANTHROPICS)[0] == 200


class Made(Keeper):
    """The model has made a file for the second key, in the course of its reply. Each key lists its own."""

    def __init__(self) -> None:
        super().__init__()
        self.made = "file-made-by-code"

    def __call__(self, request: Request) -> Answer:
        if request.method == "POST":
            return super().__call__(request)
        is_second = "other" in str(request.headers)
        if request.path == "/v1/files":
            return Answer.json({"data": [{"id": self.made}] if is_second else [{"id": "file-0x"}]})
        if is_second and self.made in request.path:
            return Answer.json({"id": self.made})
        return Answer.json({"error": {"message": "no such file"}}, 404)


def test_a_file_that_nobody_has_noted_is_looked_for_with_each_key() -> None:
    with Upstream(Made()) as up, House(house_text("* = a", a=section(up.url, KEYS))) as house:
        assert house.get("/v1/files/file-made-by-code", OPENAIS)[0] == 200
        assert house.get("/v1/files/file-of-nobody", OPENAIS)[0] == 404
        assert json.loads(house.get("/v1/files", OPENAIS)[2])["data"] == [{"id": "file-0x"}]
        assert brought(house, "chat") == "file-0x" and "first" in str(up.requests[-1].headers)
