"""The dashboard's charts in a real Chromium: one crosshair for all, moved by mouse, finger and keys, and read out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from console.dashboard import window
from console.dashboard.watch import Watch
from tests.console.dashboard.records import record
from tests.support import browser
from tests.support.browser import Browser
from tests.support.house import House

pytestmark = browser.needed
INI = "[upstream up]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n[models]\n* = up\n"
SPENT = """const ones = Array(24).fill(1);
showSpent({hours: 24, by: "model", start: Math.floor(Date.now() / 3.6e6 - 23) * 3600, step_s: 3600, off: "",
  hosts: [], missing: "", rows: [], groups: 0, whole: {usd: 1, requests: 1, tokens: 1, unpriced: 0},
  lines: [{name: "up/m", usd: ones, tokens: ones, requests: ones}]});"""
LEFT, RIGHT, HOME, END, ESCAPE = "\ue012", "\ue014", "\ue011", "\ue010", "\ue00c"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with House(INI) as house:
        house.on_loop(lambda: history(house.proxy.console.watch))
        yield house


@pytest.fixture(scope="module")
def browsing() -> Iterator[Browser]:
    with Browser(1440, 900) as page:
        yield page


@pytest.fixture
def page(browsing: Browser, house: House) -> Browser:
    browsing.open(f"{house.url}/dashboard")
    browsing.wait("return points.size > 100")
    return browsing


def history(watch: Watch) -> None:
    """Ten minutes: each bucket has one stream of 100 tokens and one whole reply."""
    clock, end = watch.clock, watch.clock()
    watch.hour = window.Window(5.0, 720)
    for second in range(600, 0, -5):
        watch.clock = lambda at=end - second: at  # type: ignore[misc]
        watch.finished(record(f"s{second}", first_token_ms=400.0, total_ms=2000.0, input=60_000, output=100, cost=0.02))
        watch.finished(record(f"w{second}", stream=False, first_token_ms=9000.0, total_ms=9000.0))
    watch.clock = clock


def read(page: Browser) -> dict[str, str]:
    """What each chart's caption says, by its name."""
    said: dict[str, str] = page.run(
        "return Object.fromEntries([...document.querySelectorAll('#charts figure')].map((figure) =>"
        " [figure.querySelector('strong').innerText, figure.querySelector('figcaption').innerText]))"
    )
    return said


def times(page: Browser) -> set[str]:
    return {found[0] for text in read(page).values() if (found := re.findall(r"at (\d\d:\d\d:\d\d)", text))}


def move(page: Browser, dx: int, kind: str = "mouse") -> None:
    """To a point of the first chart, so far from its middle."""
    page.run("document.querySelector('#charts').scrollIntoView({block: 'center'})")
    origin = {"element-6066-11e4-a52e-4f735466cecf": page._element("#charts .u-over")}
    steps: list[dict[str, Any]] = [{"type": "pointerMove", "origin": origin, "x": dx, "y": 0, "duration": 0}]
    if kind == "touch":
        steps += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
    actions = [{"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": steps}]
    page._call("POST", "/actions", {"actions": actions})


def test_streams_and_whole_replies_and_kinds_of_tokens_are_apart(page: Browser) -> None:
    move(page, 0)
    said = read(page)
    assert "p50 412 ms" in said["Streams: first token"] and "p50 1.96 s" in said["Streams: all of it"]
    assert re.search(r"p50 (8|9)\.\d+ s", said["Whole replies: time"])
    assert "streams 0.2" in said["Requests / s"] and "whole 0.2" in said["Requests / s"]
    assert "out (left) 40" in said["Tokens / s"] and "in (right) 12.2K" in said["Tokens / s"]
    assert {"4xx 0", "5xx, broken 0", "refused here 0"} <= set(said["Errors in 5 s"].splitlines())
    assert "known prices $0.24" in said["Cost / min"]
    scales = page.run("return liveCharts.find((c) => c.name === 'Tokens / s').lines.map((line) => line.scale)")
    assert scales == [None, "in"]


def test_one_crosshair_for_all_and_a_refresh_leaves_it_there(page: Browser) -> None:
    assert times(page) == set()
    move(page, 40)
    [at] = times(page)
    assert all(f"at {at} " in text for text in read(page).values())
    page.run("window.before = document.querySelector('#charts .u-cursor-x').style.transform")
    drawn = page.run("window.end = seriesEnd; return seriesEnd")
    page.run("seriesEnd += 5; drawSeries()")  # what comes with the next seconds
    assert page.run("return seriesEnd") == drawn + 5
    [later] = times(page)
    assert later > at  # the value at the pointer, where the time has moved on below it
    assert page.run("return document.querySelector('#charts .u-cursor-x').style.transform === window.before")
    assert "p50 412 ms" in read(page)["Streams: first token"]


def test_the_chart_of_cost_has_the_same_crosshair(page: Browser) -> None:
    page.run(SPENT)
    at = "return document.querySelector('#spent-chart .at').innerText"
    assert re.fullmatch(r"\w+ \d+ \w+, \d\d:00–\d\d:00 UTC", page.run(at))
    lines = "return [...document.querySelectorAll('.u-cursor-x')].map((line) => line.style.transform)"
    move(page, 40)
    assert "-10px" not in page.run(lines)[-1]  # in the hour of that time
    middle = {"element-6066-11e4-a52e-4f735466cecf": page._element("#spent-chart .u-over")}
    page.run("document.querySelector('#spent-chart').scrollIntoView({block: 'center'})")
    steps = [{"type": "pointerMove", "origin": middle, "x": 0, "y": 0, "duration": 0}]
    page._call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": steps}]})
    assert times(page) == set() and "-10px" not in page.run(lines)[-1]  # long before the others begin


def test_keys_move_it_and_what_they_chose_stays_chosen(page: Browser) -> None:
    page.run("document.querySelector('#charts .plot').focus()")
    page.press(END, LEFT, LEFT)
    [at] = times(page)
    page.press(LEFT)
    [before] = times(page)
    assert before < at
    label = page.run("return document.activeElement.getAttribute('aria-valuetext')")
    assert before in label and "streams" in label
    page.run("seriesEnd += 5; drawSeries()")
    assert times(page) == {before}
    page.press(RIGHT)
    assert times(page) == {at}
    page.press(HOME)
    assert times(page) < {at, before} or times(page).pop() < before
    page.press(ESCAPE)
    assert times(page) == set()


def test_a_finger_chooses_a_time_and_another_touch_lets_go(page: Browser) -> None:
    move(page, -30, "touch")
    [at] = times(page)
    page.run("seriesEnd += 5; drawSeries()")
    assert times(page) == {at}
    page.run("const finger = {bubbles: true, pointerType: 'touch'};"
             "document.querySelector('h1').dispatchEvent(new PointerEvent('pointerdown', finger))")  # fmt: skip
    assert times(page) == set()


def test_every_time_says_its_zone_and_another_one_is_a_click_away(page: Browser) -> None:
    page.command("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    try:
        page.run("localStorage.clear(); location.reload()")
        page.wait("return window.points === undefined && points.size > 100")
        assert page.text("#zone") == "GMT+5:30" and page.text(".zone") == "GMT+5:30"
        assert "GMT+5:30" in page.text("#state") and "GMT+5:30" in read(page)["Requests / s"]
        page.click("#zone")
        assert page.text("#zone") == "UTC" and "UTC" in read(page)["Requests / s"]
        page.wait("return document.querySelector('#state').innerText.includes('UTC')")
        assert page.run("return [...document.querySelectorAll('.zone')].every((each) => each.innerText === 'UTC')")
    finally:
        page.run("localStorage.clear()")
        page.command("Emulation.setTimezoneOverride", timezoneId="")


def test_axes_have_units_and_colours_that_follow_the_light(page: Browser) -> None:
    marks = "return liveCharts[arguments[0]].lines[0].show(arguments[1])"
    assert page.run(marks, 2, 1500) == "1.50 s" and page.run(marks, 7, 0.5) == "$0.50"
    inks = []
    for scheme in ("dark", "light"):
        page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.run("return new Promise((done) => setTimeout(done, 100))")
        inks.append(page.run("return document.querySelector('#charts canvas').toDataURL()"))
    assert inks[0] != inks[1]
