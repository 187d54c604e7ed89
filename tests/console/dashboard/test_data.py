"""What is behind the dashboard's panels, of a whole proxy: shapes, who may see it, and that it harms no request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.dashboard import panels
from console.dashboard.window import Window
from operate.settings import load
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

ADMIN = {"x-api-key": "admin-key-0123456789abcdef"}
OTHER = {"x-api-key": "other-key-0123456789abcdef"}
CLIENTS = f"[client boss]\nkey = {ADMIN['x-api-key']}\nadmin = true\n[client guest]\nkey = {OTHER['x-api-key']}\n"
UP_KEY = "sk-upstream-secret-0123456789"

REPLY = {
    "id": "c", "object": "chat.completion", "model": "gpt-5.1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 400}},
}  # fmt: skip


def answers(request: Request) -> Answer:
    if request.method == "GET":
        return Answer.json({"data": [{"id": "a"}, {"id": "b"}]})
    if b"fail" in request.body:
        return Answer.json({"error": {"message": f"no, {UP_KEY}", "type": "invalid_request_error"}}, 400)
    return Answer.json(REPLY)


def ini(url: str, more: str = "") -> str:
    return (
        f"[upstream up]\nprotocol = chat\nbase_url = {url}\napi_key = {UP_KEY}\n"
        f"[upstream dead]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n[models]\n* = up\n{more}\n"
    )


def message(text: str = "hi", **other: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": text}]} | other


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream(answers) as up:
        yield up


def told(house: House, body: Any, headers: dict[str, str] | None = None, path: str = "/v1/messages") -> int:
    """Sends a request -> its status, once the dashboard knows of it: a client may have its last byte before that."""
    watch = house.proxy.console.watch
    known = len(watch.recent)
    status = house.post(path, body, headers)[0]
    house.wait(lambda proxy: len(watch.recent) > known)
    return status


def data(house: House, panel: str, headers: dict[str, str] | None = None) -> Any:
    status, said, body = house.get(f"/dashboard/data/{panel}", headers)
    assert status == 200, body
    assert said["cache-control"] == "no-store" and said["content-type"] == "application/json"
    return json.loads(body)


def test_every_panel_tells_of_a_request(up: Upstream) -> None:
    with House(ini(up.url, "[prices]\nup/m = 10, 100, 1\n")) as house:
        assert told(house, message()) == 200
        assert told(house, message("fail")) == 400
        now = data(house, "now")
        assert now["requests"] == 2 and now["error_share"] == 0.5 and now["stage"] == "serving"
        assert now["prompt_cache_share"] == 0.4 and now["whole_ms"]["p50"] > 0 and now["workers"] == 1
        assert now["first_ms"]["p50"] is None and (now["client_errors"], now["server_errors"]) == (1, 0)
        assert now["pool"]["limit"] == 1000 and now["streams"] == 0 and now["window_s"] <= 60
        [point] = [p for p in data(house, "series")["points"] if p["replies_per_s"]][:1]
        assert set(point) >= {"t", "client_errors", "streams", "first_p50", "stream_p95", "whole_p95", "output_per_s"}
        mine, dead = data(house, "upstreams")["upstreams"]
        assert mine["name"] == "up" and mine["tries"] == 2 and mine["breaker"] == "closed"
        assert mine["base_url"] == up.url and mine["places"][0]["name"] == "up/m" and dead["tries"] == 0
        usage = data(house, "usage")
        [model] = usage["models"]
        assert model["name"] == "up/m" and model["cost"] == pytest.approx((600 * 10 + 400 + 20 * 100) / 1e6)
        assert usage["clients"][0]["requests"] == 2 and "genai-prices" in usage["prices"]["source"]
        chosen = data(house, "settings")
        [rule] = [value for value in chosen["values"] if value["section"] == "models"]
        assert (rule["key"], rule["value"]) == ("*", "up") and rule["origin"].startswith("test.ini:")
        assert chosen["reloaded"] is None and chosen["file"] == "test.ini"
        lines = data(house, "connect", {"Host": "localhost:4711"})["lines"]
        assert any("http://localhost:4711" in line for line in lines)


def test_the_whole_story_of_a_request(up: Upstream) -> None:
    with House(ini(up.url)) as house:
        told(house, message())
        told(house, message("fail"))
        failed, fine = data(house, "requests")["requests"]
        assert failed["status"] == 400 and failed["error"] == "invalid_request" and failed["cost"] is None
        assert fine["input"] == 1000 and fine["cached"] == 400 and fine["upstream"] == "up" and fine["cost"] is None
        story = data(house, f"request?id={fine['id']}")
        assert story["record"]["request_id"] == fine["id"] and story["bodies"] is None and not story["logs_bodies"]
        ends = [bar["at"] + bar["ms"] for bar in story["phases"]]
        assert ends == sorted(ends) and ends[-1] == pytest.approx(story["record"]["total_ms"], rel=0.2)
        assert {"proxy", "upstream"} <= {bar["name"] for bar in story["phases"]}
        assert house.get("/dashboard/data/request?id=nix")[0] == 404


def test_an_upstream_that_another_stands_in_for_is_not_forgotten(up: Upstream) -> None:
    with House(ini(up.url).replace("* = up", "* = dead, up")) as house:
        assert told(house, message()) == 200
        mine, dead = data(house, "upstreams")["upstreams"]
        assert (dead["tries"], dead["errors"]) == (1, 1) and (mine["tries"], mine["errors"]) == (1, 0)
        assert data(house, "now")["error_share"] == 0.0 and data(house, "now")["retries"] == 1


def test_only_what_is_new_can_be_asked_for(up: Upstream) -> None:
    with House(ini(up.url)) as house:
        for _ in range(3):
            told(house, message())
        rows = data(house, "requests")["requests"]
        between = (rows[0]["time"] + rows[1]["time"]) / 2
        assert data(house, f"requests?since={between:.6f}")["requests"] == rows[:1]
        assert len(data(house, "requests?limit=2")["requests"]) == 2
        for odd in ("since=x", "since=nan", "since=-1", "limit=inf", "limit=1e400"):
            assert data(house, f"requests?{odd}")["requests"] is not None


def test_bodies_are_shown_only_where_the_settings_log_them(up: Upstream, tmp_path: Path) -> None:
    with House(ini(up.url, "[logging]\nrequest_bodies = errors\n"), folder=tmp_path) as house:
        told(house, message())
        told(house, message(f"fail {UP_KEY}", system="be"))
        failed, fine = data(house, "requests")["requests"]
        assert data(house, f"request?id={fine['id']}")["bodies"] is None
        bodies = data(house, f"request?id={failed['id']}")["bodies"]
        assert json.loads(bodies["original"])["system"] == "be" and bodies["protocol"] == "messages"
        assert json.loads(bodies["sent"])["messages"][0] == {"role": "system", "content": "be"}
        assert UP_KEY not in json.dumps(bodies)


@pytest.mark.parametrize("said", ["hi", [{"type": "text", "text": "hi"}]])
def test_sessions_and_what_broke_their_cache(up: Upstream, said: Any) -> None:
    session = {"metadata": {"user_id": "user_secret-name"}, "messages": [{"role": "user", "content": said}]}
    with House(ini(up.url)) as house:
        told(house, message(system="be", **session))
        told(house, message(system="been", **session))
        told(house, message())
        shown = data(house, "cache")
        [one] = shown["sessions"]
        assert one["requests"] == 2 and one["hit"] == 0.4 and one["changes"][0]["where"] == "system[0]"
        assert not shown["parses"] and "secret-name" not in json.dumps(shown)
        rows = data(house, "requests")["requests"]
        assert [row["broke"] for row in rows] == [None, "system[0]", None]
        assert rows[1]["session"] == rows[2]["session"] == one["session"] and rows[0]["session"] == ""


def test_what_passes_through_is_parsed_only_where_the_settings_say_so(up: Upstream) -> None:
    headers = {"X-Session-Id": "s"}
    for watch in (False, True):
        with House(ini(up.url, f"[logging]\ncache_watch = {str(watch).lower()}\n")) as house:
            for text in ("be", "been"):
                chat = [{"role": "system", "content": text}, {"role": "user", "content": "hi"}]
                assert told(house, {"model": "m", "messages": chat}, headers, "/v1/chat/completions") == 200
            assert told(house, b'{"model": "m", "messages": [}', headers, "/v1/chat/completions") == 200
            [session] = data(house, "cache")["sessions"]
            assert [change["where"] for change in session["changes"]] == ["messages[0]"] * watch
            assert session["requests"] == 3 - watch  # what is no JSON has no prefix to tell


def test_other_settings_are_shown_and_counted_by_at_once(up: Upstream) -> None:
    with House(ini(up.url)) as house:
        told(house, message())
        service = house.proxy.service
        new = load.read(ini(up.url, "[prices]\nup/m = 1, 1\n"), "test.ini", ["server.port=0"], {})
        house.on_loop(lambda: service.adopt(new))
        service.reloaded = {"time": 1.0, "taken": False, "changed": [], "restart": [], "why": ["line 3: no"]}
        told(house, message())
        said = data(house, "settings")
        assert said["reloaded"]["why"] == ["line 3: no"]
        assert {"section": "prices", "key": "up/m", "value": "1, 1"}.items() <= said["values"][-1].items()
        [model] = data(house, "usage")["models"]
        assert model["requests"] == 2 and model["unpriced"] == 1 and model["cost"] > 0


def test_an_open_page_does_not_fill_the_log(up: Upstream, tmp_path: Path) -> None:
    with House(ini(up.url, CLIENTS), folder=tmp_path) as house:
        data(house, "now", ADMIN)
        house.get("/dashboard/data/now", OTHER)
        house.post("/dashboard/probe/up", b"", ADMIN)
    log = (tmp_path / "api_requests.json").read_text().splitlines()
    assert [(json.loads(line)["path"], json.loads(line)["status"]) for line in log] == [
        ("/dashboard/data/now", 403), ("/dashboard/probe/up", 200)
    ]  # fmt: skip


def test_a_fault_of_the_dashboard_costs_no_request(up: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    with House(ini(up.url)) as house:
        monkeypatch.setattr(house.proxy.console.watch, "_asked", lambda info: 1 / 0)
        assert told(house, message()) == 200


# ------------------------------------------------------------------------------------------- who may see it


@pytest.mark.parametrize("panel", [*panels.SHOWN, "nix"])
def test_data_are_for_admins(up: Upstream, panel: str) -> None:
    with House(ini(up.url, CLIENTS)) as house:
        for headers, status in (({}, 401), (OTHER, 403), ({"x-api-key": "wrong"}, 401)):
            got, _, body = house.get(f"/dashboard/data/{panel}", headers)
            assert got == status and json.loads(body)["error"]
        assert house.get(f"/dashboard/data/{panel}", ADMIN)[0] in (200, 404)
        assert house.get("/dashboard/raw/standing", ADMIN)[0] == 404  # that is for the workers among themselves


def test_without_clients_only_this_machine_by_its_own_name(up: Upstream) -> None:
    with House(ini(up.url)) as house:
        assert house.get("/dashboard/data/now")[0] == 200
        assert house.get("/dashboard/data/now", {"Host": "rebound.example"})[0] == 403
        assert house.get("/dashboard/data/now", {"Origin": "http://evil.example"})[0] == 403
        assert house.post("/dashboard/data/now", {})[0] in (404, 405)


def test_no_secret_is_on_any_page(up: Upstream) -> None:
    with House(ini(up.url, CLIENTS)) as house:
        told(house, message("fail"), ADMIN)
        told(house, message("fail"), OTHER)
        rows = data(house, "requests", ADMIN)["requests"]
        pages = [*panels.SHOWN, f"request?id={rows[0]['id']}"]
        for panel in pages:
            body = house.get(f"/dashboard/data/{panel}", ADMIN)[2].decode()
            assert UP_KEY not in body and OTHER["x-api-key"] not in body and ADMIN["x-api-key"] not in body
        assert "[words of the upstream]" in house.get(f"/dashboard/data/request?id={rows[0]['id']}", ADMIN)[2].decode()


# ------------------------------------------------------------------------------------------------ probes


def test_a_probe_asks_for_the_models_and_nothing_else(up: Upstream) -> None:
    with House(ini(up.url)) as house:
        status, _, body = house.post("/dashboard/probe/up", b"")
        said = json.loads(body)
        assert status == 200 and said["ok"] and said["models"] == 2 and said["ms"] >= 0
        assert [(request.method, request.path) for request in up.requests] == [("GET", "/v1/models")]
        said = json.loads(house.post("/dashboard/probe/dead", b"")[2])
        assert not said["ok"] and "127.0.0.1:9" in said["why"]
        assert house.post("/dashboard/probe/nix", b"")[0] == 404
        assert house.get("/dashboard/probe/up")[0] == 405


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (ADMIN, 200),
        (OTHER, 403),
        ({}, 401),
        (ADMIN | {"Origin": "http://proxy.lan:8082", "Host": "proxy.lan:8082"}, 200),
        (ADMIN | {"Origin": "http://proxy.lan:8083", "Host": "proxy.lan:8082"}, 403),
        (ADMIN | {"Origin": "null"}, 403),
        (ADMIN | {"Sec-Fetch-Site": "cross-site"}, 403),
        (ADMIN | {"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_a_probe_is_for_admins_and_from_our_own_page(up: Upstream, headers: dict[str, str], status: int) -> None:
    with House(ini(up.url, CLIENTS)) as house:
        assert house.post("/dashboard/probe/up", b"", headers)[0] == status
        assert bool(up.requests) is (status == 200)


# --------------------------------------------------------------------------------------- several workers


def test_what_other_workers_know_is_added(up: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    with House(ini(up.url)) as house:
        told(house, message(metadata={"user_id": "u"}))
        worker_rpc = house.proxy.service.worker_rpc

        async def twice(path: str) -> list[dict[str, Any]]:
            own = worker_rpc._own(path)
            other = json.loads(json.dumps(own).replace(house.proxy.service._key_start, "other"))
            return [own, other]

        monkeypatch.setattr(worker_rpc, "ask", twice)
        now = data(house, "now")
        assert now["requests"] == 2 and now["workers"] == 2 and now["pool"]["limit"] == 2000
        assert sum(point["replies_per_s"] for point in data(house, "series")["points"]) == pytest.approx(0.4)
        assert data(house, "upstreams")["upstreams"][0]["tries"] == 2
        assert data(house, "usage")["models"][0]["requests"] == 2
        assert data(house, "cache")["sessions"][0]["requests"] == 2
        rows = data(house, "requests")["requests"]
        assert len(rows) == 2 and rows[0]["id"] != rows[1]["id"]


def test_an_hour_comes_whole_though_in_pieces(up: Upstream) -> None:
    with House(ini(up.url)) as house:
        watch = house.proxy.console.watch

        def fill() -> float:
            now = watch.clock()
            watch.hour = Window(5.0, 720)
            for second in range(4000, -1, -1):
                watch.hour.at(now - second)["requests"] += 5
            return now

        now = house.on_loop(fill)
        points = data(house, "series")["points"]
        times = [point["t"] for point in points]
        assert times == [times[0] + 5 * n for n in range(len(times))] and 719 <= len(times) <= 721
        assert times[0] >= now - 3600 and all(point["replies_per_s"] == 5.0 for point in points[1:-2])
        later = [point["t"] for point in data(house, f"series?since={now - 20}")["points"]]
        expected = [at for at in times if at > now - 20]
        assert later[: len(expected)] == expected and len(later) <= len(expected) + 1
