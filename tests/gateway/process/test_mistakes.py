"""What the banner and --check-config say of settings that are right in themselves, and most likely not meant so."""

from __future__ import annotations

from datetime import date

import pytest

from gateway.process.mistakes import mistakes
from gateway.routing.router import Router
from operate.settings import load
from tests.gateway.process.test_banner import SHIPPED
from tests.test_proxy import run

UP = "[upstream up]\nprotocol = chat\nbase_url = http://10.1.2.3:9/v1\n"
FAR = "[upstream far]\nprotocol = chat\nbase_url = https://api.example.com/v1\n"
OFF = "[upstream off]\nprotocol = chat\nbase_url = http://10.1.2.3:9/v1\nenabled = false\n"
MINE = "[client me]\nkey = client-key-0123456789\n"
UNPRICED = (
    "[client me] has a budget in USD, but the price of {} is not known, and so they take nothing of it: see [prices]."
)
OWN = "[upstream up] base_url is the proxy's own address: its requests will be refused."
COMMENT = (
    "[upstream up] headers: what looks like a comment is a part of the value of X-Team; a comment must have a line of "
    "its own."
)
HERE = UP.replace("10.1.2.3", "127.0.0.1")
SAID = {
    "expired": (f"{UP}[models]\n* = up\n{MINE}expires = 2026-01-31\n",
                "[client me] has expired: its keys were valid until 2026-01-31."),
    "valid today": (f"{UP}[models]\n* = up\n{MINE}expires = 2026-02-01\n", ""),
    "nobody's price": (f"{UP}{FAR}[models]\na = up\nb = far/gpt-5\nc = far/unheard\n* = up\n{MINE}usd_per_day = 1\n",
                       UNPRICED.format("up/a, far/unheard, up/*")),
    "priced": (f"{UP}{FAR}[models]\na = up\n* = far\n{MINE}usd_per_month = 1\n[prices]\nup/* = 0, 0\n", ""),
    "not for this client": (f"{UP}{FAR}[models]\na = up\nb = far/gpt-5\n{MINE}usd_per_day = 1\nupstreams = far\n", ""),
    "without a budget": (f"{UP}[models]\n* = up\n{MINE}", ""),
    "off": (f"{UP}{OFF}[models]\na = off/x\n* = up\n",
            "[models] a: nobody of it is on: 'off' is off (switched off: enabled = false)."),
    "off, as a pattern": (f"{UP}{OFF}[models]\na* = off/x\n* = up\n",
                          "[models] a*: nobody of it is on: 'off' is off (switched off: enabled = false)."),
    "off, with another": (f"{UP}{OFF}[models]\na = off/x, up\n* = up\n", ""),
    "a family without a key": (f"{UP}{OFF}[models]\na* = off\n* = up\n", ""),
    "own address": (f"[server]\nport = 9\n{HERE}[models]\n* = up\n", OWN),
    "own, by any": (f"[server]\nhost = 0.0.0.0\nport = 9\n{HERE}[models]\n* = up\n{MINE}", OWN),
    "another port": (f"[server]\nport = 8\n{HERE}[models]\n* = up\n", ""),
    "by a socket": (f"[server]\nport = 9\n{HERE}socket = /run/x.sock\n[models]\n* = up\n", ""),
    "a comment": (f"{UP}headers =\n    X-Team: ops  # mine\n[models]\n* = up\n", COMMENT),
    "no comment": (f"{UP}headers =\n    X-Team: ops #7; nights\n[models]\n* = up\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_each_is_one_sentence(case: str) -> None:
    text, words = SAID[case]
    chosen = load.read(text, "settings.ini", (), {})
    found = mistakes(chosen, Router(chosen), date(2026, 2, 1))
    assert [each for each in found if not each.startswith("No root")] == ([words] if words else [])


@pytest.mark.parametrize("key", ["", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"])
def test_there_is_none_in_the_shipped_settings(key: str) -> None:
    chosen = load.read(SHIPPED, "settings.ini", (), {key: "sk-test"} if key else {})
    assert not [each for each in mistakes(chosen, Router(chosen)) if not each.startswith("No root")]


def test_check_config_says_ok_and_all_of_them() -> None:
    done = run(
        "--check-config", "--set", "client.me.key=client-key-0123456789", "--set", "client.me.expires=2020-01-01"
    )
    assert (done.returncode, done.stdout) == (
        0, "ok, but [client me] has expired: its keys were valid until 2020-01-01.\n"
    )  # fmt: skip
