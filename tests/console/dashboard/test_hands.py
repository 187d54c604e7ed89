"""What an operator does on the page, in a real Chromium: cancel, drain, follow what is wrong; and nothing jumps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from operate.usage_store import Sum, SumKey, UsageStore
from tests.console.dashboard.test_data import told
from tests.support import browser
from tests.support.browser import ELEMENT, Browser
from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream

pytestmark = browser.needed
INI = (
    "[upstream up]\nprotocol = chat\nbase_url = {}\n[upstream other]\nprotocol = chat\n"
    "base_url = http://127.0.0.1:9\n[models]\n* = up\n"
)
HOME = "\ue011"
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
WHERE = """const box = document.querySelector(arguments[0]).getBoundingClientRect();
return [box.left + scrollX, box.top + scrollY]"""
IN_SIGHT = """const box = document.querySelector(arguments[0]).getBoundingClientRect();
return box.top >= document.querySelector("header").offsetHeight - 1 && box.bottom <= innerHeight"""
SHIFTS = """window.shifts = [];
const said = (each) => { const node = each.node && (each.node.nodeType === 3 ? each.node.parentNode : each.node);
  return node ? `${node.nodeName}#${node.id}.${node.className} ${node.textContent.slice(0, 40)}` : "?"; };
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) {
    const sources = shift.sources.filter((each) => !(each.node && each.node.nodeType === 3));  // a number got longer
    if (sources.length) window.shifts.push(sources.map(said).join("; "));
  }
}).observe({type: "layout-shift"});"""


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    with Browser(1440, 900) as page:
        yield page


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def house(gate: Gate) -> Iterator[House]:
    def answers(request: Request) -> Answer:
        reply = {"id": "c", "model": "m", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}  # fmt: skip
        return Answer.json(reply, delay=0.0 if b"quick" in request.body else gate)

    with Upstream(answers) as up, House(INI.format(up.url)) as house:
        yield house


def shown(page: Browser, css: str, text: str) -> None:
    script = "return (document.querySelector(arguments[0]) || {innerText: ''}).innerText.includes(arguments[1])"
    page.wait(script, css, text)


def test_a_request_is_cancelled_by_two_clicks_in_the_same_place(page: Browser, house: House) -> None:
    with house.connect() as client:
        client.send("POST", "/v1/chat/completions", ASK)
        page.open(f"{house.url}/dashboard")
        shown(page, "#running-rows", "waits for the upstream")
        assert "up" in page.text("#running-rows") and page.text("#running-count") == "1"
        before = page.run(WHERE, "[data-cancel]")
        page.click("[data-cancel]")
        shown(page, "[data-cancel]", "Really?")
        assert page.run(WHERE, "[data-cancel]") == before
        page.click("[data-cancel]")
        assert client.reply()[0] == 403
        shown(page, "#running-rows", "none just now")
        shown(page, "#request-rows", "(cancelled)")
        page.click("#request-rows [data-story]")
        shown(page, "#story .facts", "an operator cancelled the request")
        page.click("#story form button")


def test_the_story_tells_who_was_passed_over(page: Browser, gate: Gate) -> None:
    gate.open()
    with Upstream([Answer.json({"id": "c", "choices": [{}]})]) as up:
        with House(INI.format(up.url).replace("* = up", "* = other, up")) as house:
            house.post("/dashboard/drain/other", b"")
            told(house, ASK, path="/v1/chat/completions")
            page.open(f"{house.url}/dashboard")
            shown(page, "#request-rows", "up")
            page.click("#request-rows [data-story]")
            shown(page, "#story", "What was passed over, without being asked")
            shown(page, "#story ol", "other/m: an operator has drained upstream 'other'")
            page.click("#story form button")


def test_an_upstream_is_drained_and_the_line_above_says_so_while_it_is(page: Browser, house: House) -> None:
    page.open(f"{house.url}/dashboard")
    shown(page, "#upstream-rows", "Drain")
    top = page.run(WHERE, "#now")
    page.click("[data-drain=other]")
    shown(page, "#upstream-rows", "drained since")
    page.wait("return document.querySelector('#trouble [data-kind=drained]')")
    assert "UTC" in page.text("#trouble [data-kind=drained]")
    assert page.run(WHERE, "#now") == top  # its place was there before
    page.click("#trouble [data-kind=drained]")
    assert page.run("return location.hash") == "#upstreams" and page.run(IN_SIGHT, "#upstreams h2")
    page.click("[data-drain=other]")
    page.wait("return !document.querySelector('#trouble [data-kind=drained]')")


def test_what_is_wrong_beyond_the_first_opens_above_the_page(page: Browser, house: House) -> None:
    for name in ("up", "other"):
        house.post(f"/dashboard/drain/{name}", b"")
    page.open(f"{house.url}/dashboard")
    shown(page, "#trouble-count", "more")
    top = page.run(WHERE, "#now")
    page.click("#trouble-count")
    hrefs = page.run("return [...document.querySelectorAll('#trouble-list a')].map((a) => a.getAttribute('href'))")
    assert len(hrefs) >= 2
    assert page.run("return arguments[0].every((id) => document.querySelector(id) !== null)", hrefs)
    assert page.run(WHERE, "#now") == top
    page.click("#trouble-list [data-key^=drained] a")
    assert not page.run("return document.querySelector('#trouble-more').open")


def test_nothing_jumps_while_one_aims_at_a_button(page: Browser, house: House) -> None:
    """The pointer moves towards a request's button; requests come above and below it, and one of them ends."""
    with house.connect() as first, house.connect() as second:
        first.send("POST", "/v1/chat/completions", ASK)
        house.wait(lambda proxy: len(proxy.service.flows) == 1)
        second.send("POST", "/v1/chat/completions", ASK)
        house.wait(lambda proxy: len(proxy.service.flows) == 2)
        [old, _] = sorted(house.on_loop(lambda: [flow.request.key for flow in house.proxy.service.flows]))
        told(house, ASK | {"model": "quick"}, path="/v1/chat/completions")
        page.open(f"{house.url}/dashboard")
        page.wait("return document.querySelectorAll('#running-rows [data-cancel]').length === 2")
        shown(page, "#request-rows", "quick")
        target = f"#running-rows [data-cancel]:not([data-cancel={old}])"
        element = page.run("return document.querySelector(arguments[0])", target)[ELEMENT]
        before = page.run(WHERE, target)
        nudge(page, element, 0)
        assert house.post(f"/dashboard/cancel/{old}", b"")[0] == 200  # the row above it goes
        first.reply()
        for n in range(6):  # and requests come, while the pointer is on its way
            told(house, ASK | {"model": "quick"}, path="/v1/chat/completions")
            nudge(page, element, n % 2)
            page.run("due(); return new Promise((done) => setTimeout(done, 60))")
            assert page.run(WHERE, target) == before
        assert page.run("return [...document.querySelectorAll('#running-rows button')].length") == 2
        page.run("aimedAt = -Infinity; due()")  # the pointer rests
        page.wait("return document.querySelectorAll('#running-rows [data-cancel]').length === 1")


def nudge(page: Browser, element: str, dx: int) -> None:
    move = {"type": "pointerMove", "origin": {ELEMENT: element}, "x": dx, "y": 0, "duration": 0}
    actions: list[dict[str, Any]] = [{"type": "pointer", "id": "mouse", "actions": [move]}]
    page._call("POST", "/actions", {"actions": actions})


def test_a_click_that_has_begun_outlives_a_refresh(page: Browser, house: House) -> None:
    told(house, ASK | {"model": "quick"}, path="/v1/chat/completions")
    page.open(f"{house.url}/dashboard")
    shown(page, "#request-rows", "quick")
    page.run("window.before = document.querySelector('#request-rows [data-story]')")
    told(house, ASK | {"model": "quick"}, path="/v1/chat/completions")
    page.run("due()")
    page.wait("return document.querySelectorAll('#request-rows [data-story]').length === 2")
    assert page.run("return document.querySelectorAll('#request-rows [data-story]')[1] === window.before")


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_the_page_does_not_move_by_itself(page: Browser, house: House, width: int) -> None:
    """The browser's own count of shifts, once the panels are filled: requests come and go, and troubles too."""
    page.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    told(house, ASK | {"model": "quick"}, path="/v1/chat/completions")
    page.open(f"{house.url}/dashboard")
    shown(page, "#request-rows", "quick")
    shown(page, "#settings-rows", "base_url")
    page.run(SHIFTS)
    with house.connect() as client:
        client.send("POST", "/v1/chat/completions", ASK)
        house.post("/dashboard/drain/other", b"")
        page.run("due()")
        shown(page, "#running-rows", "waits")
        page.wait("return document.querySelector('#trouble [data-kind=drained]')")
        [key] = house.on_loop(lambda: [flow.request.key for flow in house.proxy.service.flows])
        house.post(f"/dashboard/cancel/{key}", b"")
        client.reply()
    page.run("due()")
    shown(page, "#running-rows", "none")
    house.post("/dashboard/undrain/other", b"")
    page.run("due(); return new Promise((done) => setTimeout(done, 200))")
    shifts = page.run("return window.shifts")
    page.command("Emulation.clearDeviceMetricsOverride")
    assert shifts == []


def test_cost_is_seen_by_hour_by_whom_and_in_what(page: Browser, tmp_path: Path) -> None:
    hour = time.strftime("%Y-%m-%dT%H", time.gmtime())
    store = UsageStore(tmp_path / "usage.sqlite3")
    for agent, usd in (("", 1.0), ("kid", 2.0)):
        store.add({SumKey(hour[:10], "ann", "m", "up", "sess", agent, hour): Sum(1, 0, 10, 0, 0, 5, usd)})
    store.add({SumKey(hour[:10], "bob", "n", "up", "", "", hour): Sum(3, 1, 10, 0, 0, 5, 0.0, 3)})
    with House(INI.format("http://127.0.0.1:9"), folder=tmp_path) as house:
        page.open(f"{house.url}/dashboard")
        shown(page, "#spent-whole", "$3.00 for 5 requests")
        assert "up/m" in page.text("#spent-rows tr") and "$3.00" in page.text("#spent-rows tr")
        assert "price of 3 is unknown" in page.text("#spent-whole") and "unknown" in page.text("#spent-rows tr + tr")
        assert "up/m $3.00" in page.text("#spent-chart .keys")
        page.click("#spent-by [data-to=session]")
        shown(page, "#spent-rows tr", "sess")
        names = "return [...document.querySelectorAll('#spent-rows th')].map((each) => each.innerText.trim())"
        assert page.run(names) == ["sess ann", "the session itself", "agent kid", "(no session) bob"]
        page.click("#spent-measure [data-to=requests]")
        shown(page, "#spent-chart .keys", "sess 2")
        page.click("#spent-hours [data-to='168']")
        page.wait("return spentSaid.hours === 168")
        pressed = "return [...document.querySelectorAll('#spent [aria-pressed=true]')].map((each) => each.innerText)"
        assert page.run(pressed) == ["7 days", "by session", "requests"]
        page.run("document.querySelector('#spent-chart .plot').focus()")
        page.press(HOME)
        assert "sess 0" in page.text("#spent-chart .keys") and "UTC" in page.text("#spent-chart .at")
