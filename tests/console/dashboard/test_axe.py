"""axe-core looks at the page in a real Chromium, in its sizes and both lights: nothing serious, nothing critical."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.dashboard import picture
from tests.support import browser
from tests.support.browser import Browser
from tests.support.house import House

SPEC = importlib.util.find_spec("axe_core_python")
pytestmark = [
    browser.needed,
    pytest.mark.skipif(SPEC is None, reason="not installed: axe-core-python (pip install -r requirements-dev.txt)"),
]
RUN = """return axe.run(arguments[0], {resultTypes: ["violations"]}).then((said) => said.violations.map((each) =>
  [each.impact, each.id, each.nodes.map((node) => node.html.slice(0, 120)).slice(0, 5).join(" ... ")]));"""


@pytest.fixture(scope="module")
def staged() -> Iterator[tuple[House, Browser]]:
    with picture.staged(0.01) as house, Browser() as page:
        yield house, page


def axe() -> str:
    assert SPEC is not None and SPEC.origin is not None
    return (Path(SPEC.origin).parent / "axe.min.js").read_text()


def grave(page: Browser, within: str = "html") -> list[list[str]]:
    """What axe finds serious or critical."""
    page.command("Runtime.evaluate", expression=axe())  # not by the page, whose policy lets no such script in
    return [found for found in page.run(RUN, within) if found[0] in ("serious", "critical")]


@pytest.mark.parametrize(("size", "scheme"), [(0, "light"), (1, "light"), (2, "dark")])
def test_the_page(staged: tuple[House, Browser], size: int, scheme: str) -> None:
    house, page = staged
    width, height = picture.SIZES[size]
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    picture.opened(page, house)
    page.run("document.querySelector('#filter').value = 'context_overflow'; listRequests()")  # axe takes long over rows
    assert grave(page) == []
    assert page.run("return document.documentElement.scrollWidth") <= width
    wider = "return [...document.querySelectorAll('.scroll')].filter((each) => each.scrollWidth > each.clientWidth + 1)"
    assert width != 390 or page.run(f"{wider}.length") == 0  # not even within its parts
    page.run("document.querySelector('#spent-by [data-to=session]').click()")
    page.wait("return document.querySelector('#spent-rows .level1')")
    page.run("document.querySelector('#request-rows [data-story]').click()")
    page.wait("return document.querySelector('#story .fall li')")
    assert grave(page, "#story") == [] and grave(page, "#spent") == []


def test_it_would_find_something(staged: tuple[House, Browser]) -> None:
    house, page = staged
    picture.opened(page, house)
    page.run("document.body.append(el('button', {type: 'button'}), el('img', {src: 'data:,'}))")
    assert {found[1] for found in grave(page, "body > :is(button, img)")} == {"button-name", "image-alt"}


def test_the_question_for_a_key(staged: tuple[House, Browser]) -> None:
    house, page = staged
    page.run("sessionStorage.clear()")
    page.open(f"{house.url}/dashboard")
    page.wait("return document.querySelector('#ask').open")
    assert grave(page, "#ask") == []
