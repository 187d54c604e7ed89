"""Every address that a request for a model may come to, in every dialect and cloud's envelope, has the same locks.

The addresses are those of the dialects' own tables, so that one that is added is tried too. Each attack is turned away
with the same status at all of them, and no upstream hears of it; an honest request comes in at each.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.house import ONCE, House
from tests.support.script import Answer, Request, Upstream
from translate import dialects
from translate.endpoint import Endpoint

FORM = "application/x-www-form-urlencoded"
KEY, NOBODYS, LITTLE = "alice-key-0123456789", "nobody-key-0123456789", "little-key-0123456789"
REFUSED_BY_HOOK = "a word that the guard has no liking for"
GUARD = f"""
def request(event):
    if "forbidden" in str(event["body"]):
        return {{"action": "refuse", "message": "{REFUSED_BY_HOOK}", "status": 422}}
"""
SETTINGS = """
[server]
allowed_hosts = localhost
origins = https://good.example
max_body_mb = 1
[limits]
upload_mb = 1
depth = 20
[upstream c]
protocol = chat
base_url = {url}
files = true
batches = false
[upstream m]
protocol = messages
base_url = {url}
batches = false
[upstream r]
protocol = responses
base_url = {url}
[upstream g]
protocol = gemini
base_url = {url}
[models]
m = c
mm = m
mr = r
mg = g
[client alice]
key = alice-key-0123456789
[client nobody]
key = nobody-key-0123456789
models = nothing-at-all
[client little]
key = little-key-0123456789
requests_per_minute = 1
[hook guard]
python = {folder}/guard.py
on = request
"""
OF = {"messages": "mm", "chat": "m", "responses": "mr", "gemini": "mg"}


class Door(NamedTuple):
    """path: with all that it needs. relayed: its body passes through as it comes, and nobody here reads it."""

    path: str
    dialect: str
    endpoint: Endpoint
    relayed: bool


def doors() -> list[Door]:
    found: dict[str, Door] = {}
    for dialect in dialects.every():
        for endpoint in dialect.endpoints:
            path = endpoint.path.replace("{upstream/model}", "g/{model}")
            path = path.replace("{model}", OF[dialect.name]).replace("{}", "p")
            found.setdefault(path, Door(path, dialect.name, endpoint, endpoint.relayed))
    return list(found.values())


DOORS = doors()
READ = [door for door in DOORS if not door.relayed]
COUNTED = [door for door in READ if not door.endpoint.untranslated]
WRAPPED = [door for door in READ if door.path.startswith("/model/") and door.endpoint.task == "count"]


def body(door: Door, text: str = "hi") -> bytes:
    """An honest one."""
    turn = {"role": "user", "content": text}
    said: dict[str, Any] = {"model": OF[door.dialect], "max_tokens": 5}
    if door.relayed:
        parts = (('name="model"', "m"), ('name="purpose"', "user_data"), ('name="file"; filename="a"', text))
        form = "".join(f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{what}\r\n" for head, what in parts)
        return f"{form}--b--\r\n".encode()
    if door.dialect == "gemini":
        content = {"role": "user", "parts": [{"text": text}]}
        shapes = {"embedContent": {"content": content}, "batchEmbedContents": {"requests": [{"content": content}]}}
        return json.dumps(shapes.get(door.endpoint.task, {"contents": [content]})).encode()
    if door.dialect == "responses":
        return json.dumps({"model": "mr", "input": text}).encode()
    if door.path.startswith("/model/") and door.endpoint.task == "count":
        inside = base64.b64encode(json.dumps({"max_tokens": 5, "messages": [turn]}).encode()).decode()
        return json.dumps({"input": {"invokeModel": {"body": inside}}}).encode()
    if door.endpoint.unsealed is not None and door.endpoint.task != "count":
        del said["model"]
    if door.endpoint.untranslated:
        return json.dumps({"model": "m", "input": text, "prompt": text, "query": text, "documents": [text]}).encode()
    return json.dumps(said | {"messages": [turn], "prompt": text}).encode()


Asked = tuple[bytes, dict[str, str]]


def plain(door: Door, **headers: str) -> Asked:
    kind = "multipart/form-data; boundary=b" if door.relayed else "application/json"
    said = {"Content-Type": kind, "Authorization": f"Bearer {KEY}", "Host": "localhost"}
    return body(door), {name: value for name, value in (said | headers).items() if value}


def deep(door: Door) -> Asked:
    return body(door)[:-1] + b',"x":' + b"[" * 30 + b"]" * 30 + b"}", plain(door)[1]


def many(door: Door) -> Asked:
    """Of which each takes a hundred times its bytes where it is read."""
    return body(door)[:-1] + b',"x":[' + b"{}," * 300_000 + b"1]}", plain(door)[1]


def huge(door: Door) -> Asked:
    return body(door, "x" * 1_200_000), plain(door)[1]


ATTACKS: dict[str, tuple[int, list[Door], Callable[[Door], Asked]]] = {
    "no key": (401, DOORS, lambda door: plain(door, Authorization="")),
    "another key": (401, DOORS, lambda door: plain(door, Authorization="Bearer alice-key-012345678")),
    "a key in a parameter": (401, DOORS, lambda door: plain(door, Authorization="", Cookie=f"key={KEY}")),
    "a foreign page": (403, DOORS, lambda door: plain(door, Origin="https://evil.example")),
    "a page without an origin": (403, DOORS, lambda door: plain(door, Origin="null")),
    "another name": (403, DOORS, lambda door: plain(door, Host="evil.example")),
    "a text": (415, READ, lambda door: (b"x=1", plain(door, **{"Content-Type": "text/plain"})[1])),
    "a form": (415, READ, lambda door: (b"x=1", plain(door, **{"Content-Type": FORM})[1])),
    "very many values": (413, COUNTED, many),
    "too large": (413, DOORS, huge),
    "too deep": (400, [door for door in READ if door not in WRAPPED], deep),
    "no JSON": (400, READ, lambda door: (b'{"model":', plain(door)[1])),
    "a model that the client may not use": (403, DOORS, lambda door: plain(door, Authorization=f"Bearer {NOBODYS}")),
    "what a hook refuses": (422, READ, lambda door: (body(door, "forbidden"), plain(door)[1])),
}


@pytest.fixture(scope="module")
def up() -> Iterator[Upstream]:
    def answer(request: Request) -> Answer:
        return Answer.json({"id": "x", "choices": [{}], "data": [], "content": [], "output": [], "candidates": []})

    with Upstream(answer) as up:
        yield up


@pytest.fixture(scope="module")
def house(up: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("guard")
    (folder / "guard.py").write_text(GUARD)
    with House(SETTINGS.format(url=up.url, folder=folder) + ONCE) as house:
        yield house


@pytest.mark.parametrize("what", ATTACKS)
def test_an_attack_is_turned_away_at_every_door(house: House, up: Upstream, what: str) -> None:
    wanted, where, make = ATTACKS[what]
    before = len(up.requests)
    for door in where:
        status, told, raw = house.request("POST", door.path, *make(door))
        assert status == wanted, (door.path, raw[:300])
        assert "access-control-allow-origin" not in told and "text/html" not in told.get("content-type", "")
        assert (REFUSED_BY_HOOK.encode() in raw) == (what == "what a hook refuses"), (door.path, raw[:300])
    assert len(up.requests) == before, "an upstream hears of it"


def test_an_honest_request_comes_in(house: House, up: Upstream) -> None:
    for door in DOORS:
        before = len(up.requests)
        status, _, raw = house.request("POST", door.path, *plain(door))
        assert status not in (400, 401, 403, 404, 405, 413, 415, 422, 429), (door.path, status, raw[:300])
        assert len(up.requests) > before or door.endpoint.task == "count", door.path


def test_a_quota_holds_at_every_door(house: House, up: Upstream) -> None:
    """All of them together are one client's."""
    headers = {"Authorization": f"Bearer {LITTLE}"}
    house.request("POST", DOORS[0].path, *plain(DOORS[0], **headers))
    before = len(up.requests)
    for door in DOORS:
        status, _, raw = house.request("POST", door.path, *plain(door, **headers))
        assert status == 429 or door.endpoint.task == "count", (door.path, status, raw[:300])
    assert len(up.requests) == before


LISTS = ("/v1/models", "/v1/models/m", "/v1beta/models", "/v1beta/models/mg", "/api/tags", "/api/ps",
         "/v1/responses/resp_x", "/v1/batches", "/v1/files", "/v1/messages/batches", "/debug/upstreams", "/metrics",
         "/dashboard/data/requests")  # fmt: skip
STRANGERS: tuple[dict[str, str], ...] = (
    {}, {"Authorization": "Bearer x"}, {"x-api-key": KEY[:-1]}, {"Host": "evil.example", "x-api-key": KEY},
    {"Origin": "https://evil.example", "x-api-key": KEY},
)  # fmt: skip


@pytest.mark.parametrize("headers", STRANGERS)
def test_what_is_only_read_has_the_same_locks(house: House, headers: dict[str, str]) -> None:
    for path in LISTS:
        status, told, raw = house.request("GET", path, b"", {"Host": "localhost"} | headers)
        assert status in (401, 403), (path, status, raw[:200])
        assert "access-control-allow-origin" not in told and KEY.encode() not in raw


def test_without_keys_no_page_gets_in_unasked(up: Upstream) -> None:
    """What a browser sends without a question to the server first."""
    text = SETTINGS.partition("[client alice]")[0].replace("origins = https://good.example\n", "")
    with House(text.format(url=up.url) + ONCE) as open_house:
        before = len(up.requests)
        for door in DOORS:
            for kind in ("text/plain", FORM, "multipart/form-data; boundary=b"):
                data, headers = plain(door, Authorization="", **{"Content-Type": kind})
                status, _, raw = open_house.request("POST", door.path, data, headers)
                assert status == 415, (door.path, kind, raw[:300])
            for page in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
                status, _, raw = open_house.request("POST", door.path, *plain(door, Authorization="", **page))
                assert status == 403, (door.path, page, raw[:300])
            status, _, raw = open_house.request("POST", door.path, *plain(door, Host="evil.example", Authorization=""))
            assert status == 403, (door.path, raw[:300])
            forwarded = plain(door, Authorization="", **{"X-Forwarded-For": "192.0.2.1"})
            assert open_house.request("POST", door.path, *forwarded)[0] == 403, door.path
        assert len(up.requests) == before
