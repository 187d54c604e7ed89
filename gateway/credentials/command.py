"""The key that a command prints: `api_key = cmd:COMMAND`. No shell runs it, and the event loop does not wait for it.

The command prints the key alone on its last line, or a JSON object with the key and, if it says so, when that ends: as
`gcloud auth print-access-token`, `az account get-access-token`, `aws configure export-credentials` and many corporate
helpers do. What it writes to standard error goes to the log, less all that looks like a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.credentials.minted import AwsKeys, Minted, NoKey
from operate.logs.redaction import MASK, looks_like_a_key

log = logging.getLogger("gateway")

MAX_OUTPUT = 64 * 1024
MAX_TOLD = 500  # characters of standard error in the log
MIN_MASKED = 16  # of a word; shorter ones are codes of errors

_KEYS = ("access_token", "accessToken", "token", "id_token", "api_key", "apiKey", "key")
_ENDS = ("expires_on", "expiresOn", "expires_at", "expiresAt", "expiry", "expiration", "Expiration")
_KEY = re.compile(r"[\x21-\x7e]+")
_WORD = re.compile(r"[^\s\"'`,;()<>\[\]{}]+")


async def run(argv: Sequence[str], timeout_s: float) -> Minted:
    """Raises NoKey."""
    out = await output(argv, timeout_s)
    try:
        return read(out)
    except ValueError as why:
        raise NoKey(f"{argv[0]}: {why}", f"its key command {why}") from None


async def output(argv: Sequence[str], timeout_s: float) -> str:
    """The output of the command. Raises NoKey."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as why:
        raise NoKey(f"{argv[0]} cannot be run: {why}", "its key command cannot be run") from None
    assert process.stdout is not None and process.stderr is not None
    try:
        async with asyncio.timeout(timeout_s):
            out, said = await asyncio.gather(_read(process.stdout), _read(process.stderr))
            status = await process.wait()
    except _TooMuch:
        raise NoKey(f"{argv[0]} prints more than {MAX_OUTPUT} bytes", "its key command prints too much") from None
    except TimeoutError:
        late = f"did not end within {timeout_s:g} s"
        raise NoKey(f"{argv[0]} {late}", f"its key command {late}") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        # Its pipes are closed, too: a child of it may still hold them, and then they would never end.
        process._transport.close()  # type: ignore[attr-defined]  # asyncio has no other way
        await process.wait()
    told = without_keys(said.decode("utf-8", "replace"))
    if status:
        raise NoKey(f"{argv[0]} ended with status {status}: {told or 'it said nothing'}",
                    f"its key command ended with status {status}")  # fmt: skip
    if told:
        log.info("%s said: %s", argv[0], told)
    return out.decode("utf-8", "replace")


class _TooMuch(Exception):
    """It prints more than any key takes."""


async def _read(stream: asyncio.StreamReader) -> bytes:
    """All of it. Raises _TooMuch."""
    parts, left = [], MAX_OUTPUT
    while part := await stream.read(MAX_OUTPUT):
        parts.append(part)
        left -= len(part)
        if left < 0:
            raise _TooMuch
    return b"".join(parts)


def read(out: str) -> Minted:
    """Returns the key in what a command has printed. Raises ValueError whose words follow the name of the command."""
    text = out.strip()
    if text.startswith("{"):
        try:
            said = json.loads(text)
        except ValueError:
            raise ValueError("prints JSON that cannot be read") from None
        return of_json(said)
    key = text.splitlines()[-1].strip() if text else ""
    if len(key) > 2 and key[0] == key[-1] and key[0] in "\"'":  # a string of JSON, as az prints one
        key = key[1:-1]
    if not key:
        raise ValueError("prints no key")
    if not _KEY.fullmatch(key):
        raise ValueError("prints a last line that is no key")
    return Minted(key)


def of_json(said: Mapping[str, Any]) -> Minted:
    """Returns a key of AWS (credential_process), or a token from one of the usual fields. Raises ValueError."""
    inner = said.get("credential")
    if not any(name in said for name in _KEYS) and isinstance(inner, dict):  # gcloud config config-helper
        said = inner
    if (aws := aws_keys(said)) is not None:
        return Minted(expires=ends(said), aws=aws)
    key = next((said[name] for name in _KEYS if isinstance(said.get(name), str) and said[name]), "")
    if not _KEY.fullmatch(key):
        raise ValueError(f"prints a JSON object without a key in {', '.join(_KEYS)}")
    return Minted(key, ends(said))


def aws_keys(said: Mapping[str, Any]) -> AwsKeys | None:
    """Returns keys in AWS's usual form: AccessKeyId, SecretAccessKey, SessionToken or Token."""
    found = [said.get("AccessKeyId"), said.get("SecretAccessKey")]
    session = said.get("SessionToken") or said.get("Token") or ""
    if not all(isinstance(text, str) and _KEY.fullmatch(text) for text in found) or not isinstance(session, str):
        return None
    return AwsKeys(str(found[0]), str(found[1]), session)


def ends(said: Mapping[str, Any]) -> float | None:
    """Returns when a key ends, in seconds since 1970."""
    span = said.get("expires_in", said.get("expiresIn"))
    if isinstance(span, int | float) and math.isfinite(span):
        return time.time() + span
    values = [said.get(name) for name in _ENDS] + [said.get("token_expiry")]
    return next((when for value in values if (when := _when(value)) is not None), None)


def _when(value: Any) -> float | None:
    """Returns seconds since 1970 from a number or digits (also milliseconds), or from a date. A date without a zone is
    in this machine's zone, as az writes it."""
    if isinstance(value, str) and not value.isdecimal():
        try:
            return datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(UTC).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return number / 1000 if number > 1e11 else number


def without_keys(text: str) -> str:
    """Returns the end of what a command has said, on one line. Its secrets are not known yet, so everything that looks
    like a key is masked, except for addresses and paths of files."""

    def masked(word: re.Match[str]) -> str:
        said = word[0]
        bare = said.rpartition("=")[2]
        plain = "://" in said or said.startswith(("/", "./", "~/")) or "?" in said
        if plain or len(bare) < MIN_MASKED or not looks_like_a_key(bare):
            return said
        return said[: len(said) - len(bare)] + MASK

    return _WORD.sub(masked, " ".join(text.split()))[-MAX_TOLD:]
