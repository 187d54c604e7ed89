"""The dashboard's page in a real Chromium: every panel fills, keys and clicks work, and its policy holds."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle import contents
from console.dashboard import page as page_file
from tests.console.dashboard.test_data import ADMIN, CLIENTS, answers, ini, message, told
from tests.support import browser, lacking
from tests.support.browser import Browser
from tests.support.house import House
from tests.support.script import Upstream

in_browser = browser.needed
TAB, ENTER, ESCAPE, SPACE = "\ue004", "\ue007", "\ue00c", " "
OURS = ("page.html", *(name for name in page_file.SCRIPTS if "/" not in name))
PROMPT = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    """One browser for all tests, since its start is what costs."""
    with Browser() as page:
        yield page


@pytest.fixture
def up() -> Iterator[Upstream]:
    with Upstream(answers) as up:
        yield up


def rows(page: Browser, table: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((tr) => tr.innerText)"
    return list(page.run(script, f"{table} tr"))


def filled(page: Browser, table: str, text: str) -> None:
    page.wait("return [...document.querySelectorAll(arguments[0])].some((tr) => tr.innerText.includes(arguments[1]))",
              f"{table} tr", text)  # fmt: skip


# ------------------------------------------------------------------------------------- without a browser


def test_the_page_is_one_file_that_asks_nobody_else() -> None:
    made = page_file.made()
    text, ours = made.whole.decode(), "".join(page_file.WEB.joinpath(name).read_text() for name in OURS)
    assert "<!-- " not in text and gzip.decompress(page_file.packed()) == made.whole
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//|url\(|innerHTML|outerHTML|eval\(|new Function", text)
    assert not re.search(r"\sstyle=[\"']|\son[a-z]+=[\"']", ours)
    for tag, kind, files in (("script", "script-src", page_file.SCRIPTS), ("style", "style-src", page_file.STYLES)):
        inside = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inside]
        assert len(digests) == len(files)
        assert f"{kind} " + " ".join(f"'sha256-{digest}'" for digest in digests) in made.policy
    assert "default-src 'none'" in made.policy and "unsafe" not in made.policy
    assert "frame-ancestors 'none'" in made.policy and "trusted-types" in made.policy


def test_every_file_of_the_page_is_in_it() -> None:
    files = {path.relative_to(page_file.WEB).as_posix() for path in page_file.WEB.rglob("*.*")}
    assert files == {*page_file.SCRIPTS, *page_file.STYLES, "page.html", "uplot/LICENSE.txt", "uplot/SOURCE.txt"}


def test_the_library_is_the_one_that_its_source_names() -> None:
    folder = page_file.WEB / "uplot"
    said = dict(reversed(line.split()) for line in (folder / "SOURCE.txt").read_text().splitlines() if "  " in line)
    for path in folder.iterdir():
        if path.name != "SOURCE.txt":
            assert said[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    shipped = contents.program()
    wanted = ("page.html", "uplot/LICENSE.txt", *page_file.SCRIPTS)
    assert {f"console/dashboard/web/{name}" for name in wanted} <= shipped.keys()


def test_the_page_is_for_everyone_and_holds_no_data(up: Upstream) -> None:
    with House(ini(up.url, CLIENTS)) as house:
        told(house, message("fail"), ADMIN)
        status, headers, body = house.get("/dashboard")
        assert status == 200 and headers["content-type"].startswith("text/html")
        made = page_file.made()
        assert headers["content-security-policy"] == made.policy and body == made.whole
        assert house.get("/dashboard/")[0] == 200
        status, headers, body = house.get("/dashboard", {"Accept-Encoding": "gzip"})
        assert headers["content-encoding"] == "gzip" and gzip.decompress(body) == made.whole


@lacking.program("node", "nodejs")
def test_the_scripts_are_javascript() -> None:
    check = "process.argv.slice(1).map((name) => new (require('vm').Script)(require('fs').readFileSync(name) + ''))"
    files = [str(page_file.WEB / name) for name in page_file.SCRIPTS]
    said = subprocess.run(["node", "-e", check, *files], capture_output=True, check=False)
    assert said.returncode == 0, said.stderr


# ---------------------------------------------------------------------------------------- in the browser


@in_browser
def test_every_panel_fills(up: Upstream, page: Browser) -> None:
    with House(ini(up.url, "[prices]\nup/* = 10, 100, 1\n")) as house:
        told(house, message(system="be", metadata={"user_id": "u"}))
        told(house, message(system="been", metadata={"user_id": "u"}))
        told(house, message("fail"))
        page.open(f"{house.url}/dashboard")
        filled(page, "#request-rows", "400 invalid_request")
        filled(page, "#upstream-rows", up.url)
        filled(page, "#model-rows", "up/m")
        filled(page, "#client-rows", "(no [client])")
        filled(page, "#cache-rows", "system[0] changed")
        filled(page, "#settings-rows", "base_url")
        page.wait("return document.querySelectorAll('#charts figure canvas').length === 8")
        page.wait("return document.querySelector('#lines').innerText.includes('ANTHROPIC_BASE_URL=' + location.origin)")
        assert "33.3 %" in page.text("#tiles") and "serving since" in page.text("#state")
        assert "$" in page.text("#model-rows") and "genai-prices" in page.text("#prices")
        assert page.complaints() == []


@in_browser
def test_what_clients_write_is_never_html(up: Upstream, page: Browser, tmp_path: Path) -> None:
    with House(ini(up.url, "[logging]\nrequest_bodies = all\n"), folder=tmp_path) as house:
        told(house, message(PROMPT, model=PROMPT, metadata={"user_id": PROMPT}))
        page.open(f"{house.url}/dashboard")
        filled(page, "#request-rows", PROMPT)
        page.click("#request-rows button")
        page.wait("return document.querySelectorAll('#story pre').length == 3")
        assert PROMPT in page.text("#story .pair") and page.run("return document.images.length") == 0
        assert page.complaints() == []


@in_browser
def test_a_request_is_found_opened_and_closed_by_keys_alone(up: Upstream, page: Browser) -> None:
    with House(ini(up.url)) as house:
        told(house, message())
        told(house, message("fail"))
        page.open(f"{house.url}/dashboard")
        filled(page, "#request-rows", "400")
        page.run("document.querySelector('#filter').focus()")
        page.press(*"invalid_req")
        page.wait("return document.querySelectorAll('#request-rows tr').length == 1")
        assert page.text("#request-count") == "1 of the latest 2"
        for _ in range(20):
            page.press(TAB)
            if page.run("return document.activeElement.closest('#request-rows') !== null"):
                break
        page.press(ENTER)
        page.wait("return document.querySelector('#story .fall li') !== null")
        assert "invalid_request" in page.text("#story .facts") and "no, " not in page.text("#story")
        page.press(ESCAPE)
        page.wait("return !document.querySelector('#story').open")
        assert page.run("return document.activeElement.closest('#request-rows') !== null")


@in_browser
def test_new_requests_come_by_themselves_and_keep_the_focus(up: Upstream, page: Browser) -> None:
    with House(ini(up.url)) as house:
        told(house, message(model="first"))
        page.open(f"{house.url}/dashboard")
        filled(page, "#request-rows", "first")
        page.run("document.querySelector('#request-rows button').focus()")
        told(house, message(model="second"))
        filled(page, "#request-rows", "second")
        assert "second" in rows(page, "#request-rows")[0]
        assert "first" in page.run("return document.activeElement.closest('tr').innerText")


@in_browser
def test_an_admins_key_is_asked_for_once(up: Upstream, page: Browser) -> None:
    with House(ini(up.url, CLIENTS)) as house:
        page.open(f"{house.url}/dashboard")
        page.wait("return document.querySelector('#ask').open")
        page.type("#key", "wrong")
        page.press(ENTER)
        page.wait("return document.querySelector('#ask').open && document.querySelector('#ask-why').innerText != ''")
        page.type("#key", ADMIN["x-api-key"])
        page.press(ENTER)
        filled(page, "#upstream-rows", up.url)
        page.open(f"{house.url}/dashboard")
        filled(page, "#upstream-rows", up.url)
        assert not page.run("return document.querySelector('#ask').open")
        assert ADMIN["x-api-key"] not in page.run("return document.documentElement.outerHTML + location.href")
        page.run("sessionStorage.clear()")
        page.complaints()  # of the 401s


@in_browser
def test_an_upstream_is_probed_by_a_button(up: Upstream, page: Browser) -> None:
    with House(ini(up.url)) as house:
        page.open(f"{house.url}/dashboard")
        filled(page, "#upstream-rows", up.url)
        page.click("#upstream-rows [data-probe=up]")
        filled(page, "#upstream-rows", "2 models")
        assert "up: answers" in page.run("return document.querySelector('#said').textContent")
        page.click("#upstream-rows [data-probe=dead]")
        filled(page, "#upstream-rows", "no: 127.0.0.1:9")


@in_browser
def test_settings_that_were_not_taken_are_told(up: Upstream, page: Browser) -> None:
    with House(ini(up.url)) as house:
        house.proxy.service.reloaded = {"time": 1.0, "taken": False, "changed": [], "restart": [],
                                        "why": ["test.ini:3: [server] port: is not a number"]}  # fmt: skip
        page.open(f"{house.url}/dashboard")
        page.wait("return document.querySelector('#reloaded.bad')")
        assert "not taken" in page.text("#reloaded") and "port: is not a number" in page.text("#reloaded")


@in_browser
def test_it_says_when_the_proxy_is_gone(up: Upstream, page: Browser) -> None:
    with House(ini(up.url)) as house:
        told(house, message())
        page.open(f"{house.url}/dashboard")
        filled(page, "#request-rows", "200")
    page.wait("return document.querySelector('#state').innerText.includes('does not answer')")
    assert len(rows(page, "#request-rows")) == 1  # what was known stays
    page.complaints()


@in_browser
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_in_both_lights(up: Upstream, page: Browser, dark: bool) -> None:
    """Every text against what is behind it: 4.5 to 1, as WCAG asks."""
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    page.command("Emulation.setEmulatedMedia", features=features)
    with House(ini(up.url)) as house:
        told(house, message("fail"))
        told(house, message())
        page.open(f"{house.url}/dashboard")
        filled(page, "#request-rows", "400")
        filled(page, "#settings-rows", "base_url")
        faint = page.run(CONTRAST)
    assert faint == []


@in_browser
@pytest.mark.parametrize("width", [390, 820, 1240])
def test_no_width_makes_the_page_scroll_sideways(up: Upstream, page: Browser, width: int) -> None:
    """Wide tables do within themselves."""
    page.command("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    with House(ini(up.url)) as house:
        told(house, message(model="a-model-with-a-very-long-name-that-goes-on-and-on-and-on-2026-11-23"))
        page.open(f"{house.url}/dashboard")
        filled(page, "#model-rows", "a-model")
        filled(page, "#settings-rows", "base_url")
        assert page.run("return document.documentElement.scrollWidth") <= width
    page.command("Emulation.clearDeviceMetricsOverride")


@in_browser
def test_it_can_be_read_aloud(up: Upstream, page: Browser) -> None:
    """By the browser's own accessibility tree: what can be used has a name, what is a region too."""
    with House(ini(up.url)) as house:
        told(house, message())
        page.open(f"{house.url}/dashboard")
        filled(page, "#request-rows", "200")
        page.wait("return document.querySelector('#charts canvas') && points.size")
        page.command("Accessibility.enable")
        nodes = page.command("Accessibility.getFullAXTree")["nodes"]
        page.command("Accessibility.disable")
    known: list[tuple[str, str]] = [
        (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]
    ]
    named = {"button", "slider", "searchbox", "combobox", "checkbox", "region", "image", "img"}
    named |= {"columnheader", "rowheader"}
    assert [role for role, name in known if role in named and not name.strip()] == []
    roles = [role for role, _ in known]
    assert {"banner", "main", "navigation"} <= set(roles) and roles.count("status") == 1
    assert len([name for role, name in known if role == "slider" and "Tokens / s" in name]) == 1
    heads: Any = page.run("return [...document.querySelectorAll('th:not([scope])')].length")
    assert heads == 0, json.dumps(heads)


CONTRAST = """
const light = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const lum = (c) => 0.2126 * light(c[0]) + 0.7152 * light(c[1]) + 0.0722 * light(c[2]);
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const c = rgb(getComputedStyle(at).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const faint = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  if (!own || !node.checkVisibility() || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName)) continue;
  const [a, b] = [lum(rgb(getComputedStyle(node).color)), lum(behind(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) faint.push(`${node.tagName} ${node.className} ${node.innerText.slice(0, 30)}: ${ratio.toFixed(2)}`);
}
return faint;
"""
