"""Makes the text of log lines: one JSON object each. The functions are pure.

The record of a finished request becomes a line in performance.json (the record with a readable time), a short line in
api_requests.json, and a line in errors.json if it failed. Every request has the first two, so they must be quick: the
short line is a template, as only names need to be escaped.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import ujson

from operate.plain import escaped

COMPLETED = "HTTP request completed"
PERFORMANCE, API_REQUESTS, ERRORS = "performance", "api_requests", "errors"


def of_record(record: dict[str, Any], wanted: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The lines of a finished request, each as (file, line). record: made by gateway/observe/record.py; its first entry
    is its time. wanted: the files that get a line."""
    at = when(record["time"])
    if PERFORMANCE in wanted:
        said = _dumped(record)
        yield PERFORMANCE, f'{{"time":"{at}","message":"{COMPLETED}",{said[said.index(",") + 1 :]}\n'
    if API_REQUESTS in wanted:
        yield API_REQUESTS, _short(record, at)
    if ERRORS in wanted and (kind := record.get("error.type")) is not None:
        line = {"time": at, "message": record.get("error.message"), "error": kind} | record | {"time": at}
        line.pop("error.message", None)
        yield ERRORS, _dumped(line) + "\n"


def of(line: dict[str, Any], at: float) -> str:
    """The line of anything else. If its body is bytes, they are decoded here."""
    body = line.get("body")
    if isinstance(body, (bytes, bytearray)):
        line["body"] = body.decode("utf-8", "replace")
    return _dumped({"time": when(at)} | line) + "\n"


def when(seconds: float) -> str:
    """A time (seconds since 1970) as 2026-01-31T23:59:59.123Z."""
    whole = int(seconds)
    return f"{_to_the_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


def _short(record: dict[str, Any], at: str) -> str:
    get = record.get
    return (
        f'{{"time":"{at}","method":"POST","path":{_quoted(get("url.path"))},"status":{get("status", 0)},'
        f'"ms":{get("total_ms", 0)},"client":{_quoted(get("client"))},"model":{_quoted(get("gen_ai.request.model"))},'
        f'"upstream":{_quoted(get("upstream"))},"bytes_in":{get("bytes_in", 0)},"bytes_out":{get("bytes_out", 0)},'
        f'"ended":"{get("ended")}","request_id":"{get("request_id")}"}}\n'
    )


_encode = msgspec.json.Encoder().encode


def _json(value: Any) -> str:
    try:
        return escaped(_encode(value).decode())
    except UnicodeError:  # half a character, of which ujson makes an escape
        return ujson.dumps(value, ensure_ascii=True, escape_forward_slashes=False)


@functools.lru_cache(maxsize=512)
def _quoted(name: str | None) -> str:
    return _json(name)


@functools.lru_cache(maxsize=8)
def _to_the_second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def _dumped(line: dict[str, Any]) -> str:
    try:
        return _json(line)
    except (ValueError, TypeError, OverflowError, RecursionError) as why:  # an odd number in a reply, such as 1e999
        plain = {name: value for name, value in line.items() if isinstance(value, (str, int))}
        plain = {"time": line.get("time", 0)} | plain | {"unwritable": str(why)}
        return _json(plain)
