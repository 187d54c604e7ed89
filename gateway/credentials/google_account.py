"""The access token of a Google service account: `api_key = google:FILE`. It needs the package google-auth.

FILE is what Google's console gives for a service account, or what `gcloud auth application-default login` writes for a
person; other kinds of files name commands and addresses of their own, and are refused. The package is imported only
here. It signs in a thread, since its calls block; its request goes through the proxy's own client.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from gateway.credentials.asking import Answer, Ask
from gateway.credentials.minted import Minted, NoKey

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
PUBLIC = "its Google account gives no token"


class _Answer:
    """A reply, as google-auth wants one."""

    def __init__(self, told: Answer) -> None:
        self.status = told.status
        self.headers = dict(told.headers)
        self.data = told.body


async def token(file: str, timeout_s: float, ask: Ask) -> Minted:
    """Raises NoKey."""
    loop = asyncio.get_running_loop()

    def send(
        url: str, method: str = "GET", body: bytes | str | None = None, headers: Mapping[str, str] | None = None,
        timeout: float | None = None, **_: Any,
    ) -> _Answer:  # fmt: skip
        data = body.encode() if isinstance(body, str) else body
        lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
        asked = asyncio.run_coroutine_threadsafe(_asked(ask, method, url, lines, data, timeout_s), loop)
        told = asked.result(timeout_s + 1)
        if not told.status:
            raise OSError(told.failure)
        if not _is_readable(told):
            raise OSError(f"{url} answers {told.status} with what is no JSON object, and begins: {told.body[:60]!r}")
        return _Answer(told)

    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.to_thread(_token, file, send)
    except TimeoutError:
        raise NoKey(f"{file}: no answer within {timeout_s:g} s", PUBLIC) from None


async def _asked(ask: Ask, method: str, url: str, lines: list[str], body: bytes | None, timeout_s: float) -> Answer:
    return await ask(method, url, lines, body, timeout_s)


def _is_readable(told: Answer) -> bool:
    """google-auth takes for granted that a token comes in an object. A page for a login is none, which networks and
    proxies of companies put in its place; of a refusal it reads any text."""
    try:
        return isinstance(json.loads(told.body), dict)
    except ValueError:
        return told.status != 200


def _token(file: str, send: Any) -> Minted:
    try:  # by name: the proxy is checked and runs without the package, too
        failures: Any = importlib.import_module("google.auth.exceptions")
        accounts: Any = importlib.import_module("google.oauth2.service_account")
        people: Any = importlib.import_module("google.oauth2.credentials")
    except ImportError as why:
        raise NoKey(f"the package google-auth is needed: {why}", PUBLIC) from None
    try:
        with open(file, "rb") as opened:
            said = json.load(opened)
        kind = said.get("type") if isinstance(said, dict) else None
        if kind == "service_account":
            account = accounts.Credentials.from_service_account_info(said, scopes=SCOPES)
        elif kind == "authorized_user":
            account = people.Credentials.from_authorized_user_info(said, SCOPES)
        else:
            raise NoKey(f"{file} is of type {kind!r}, and only service_account and authorized_user are read; for "
                        "others use api_key = cmd:gcloud auth print-access-token", PUBLIC)  # fmt: skip
        account.refresh(send)
    except (failures.GoogleAuthError, OSError, ValueError, OverflowError) as why:
        raise NoKey(f"{file}: {why}", PUBLIC) from None
    if not isinstance(account.token, str) or not account.token:
        raise NoKey(f"{file}: the answer has no access_token", PUBLIC)
    expiry = account.expiry
    return Minted(account.token, expiry.replace(tzinfo=UTC).timestamp() if expiry is not None else None)
