"""Lists of models as upstreams that mean ill tell them: each form of the list is what its clients can read, soon."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.support.house import ONCE, House
from tests.support.script import Answer, Upstream

KEY = "sk-of-the-upstream-0123456789"
SETTINGS = "[upstream a]\nprotocol = chat\nbase_url = {}\napi_key = {}\n[models]\n* = a\n"
LISTS = (
    ("/v1/models", {}), ("/v1/models?limit=1000", {"anthropic-version": "2023-06-01"}), ("/v1beta/models", {}),
    ("/v1beta/models?pageSize=5&pageToken=x", {}), ("/api/tags", {}), ("/v1/models?client_version=0.169.0", {}),
    ("/v1/models?limit=-1", {"anthropic-version": "2023-06-01"}), ("/v1/models?after_id=%00&limit=999999999", {}),
)  # fmt: skip
ODD = "a\r\nX-Injected: b\x00<script>alert(1)</script>\u202e\ud83d"
ROWS: dict[str, Any] = {
    "01 names of any letters": {"data": [{"id": ODD, "display_name": ODD}]},
    "02 very many": {"data": [{"id": f"m{n}"} for n in range(20_000)]},
    "03 very long ones": {"data": [{"id": "m" * 500_000}]},
    "04 no rows": {"data": [None, 1, "x", [], {}, {"id": None}, {"id": {"a": 1}}]},
    "05 numbers that are none": {
        "data": [{"id": "m", "created": 1e308, "context_length": -1, "pricing": {"prompt": "x"}}]
    },
    "06 numbers without end": {"data": [{"id": "m", "created": 10**400, "context_length": 10**400}]},
    "07 no list": {"data": {"id": "m"}},
    "08 what is deep": json.loads('{"data":' + "[" * 500 + "]" * 500 + "}"),
    "09 the same again and again": {"data": [{"id": "m"}] * 20_000},
    "10 the key itself": {"data": [{"id": KEY, "display_name": f"Bearer {KEY}"}]},
    "11 a name of ours": {"data": [{"id": "anthropic-proxy/a/m"}, {"id": "../../v1/messages"}, {"id": ""}]},
    "12 an error": {"error": {"message": f"wrong key {KEY}"}},
}  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_a_list(what: str) -> None:
    with Upstream(lambda _: Answer.json(ROWS[what])) as up, House(SETTINGS.format(up.url, KEY) + ONCE) as house:
        for path, headers in LISTS:
            began = time.monotonic()
            status, told, raw = house.get(path, headers)
            assert time.monotonic() - began < 10
            assert status in (200, 400, 502) and json.loads(raw), (path, status)
            assert told["content-type"].startswith("application/json") and told["x-content-type-options"] == "nosniff"
            assert "x-injected" not in told and KEY.encode() not in raw
        assert house.get("/healthz")[0] == 200


@pytest.mark.parametrize("body", [b"", b"<html>", b"[", b"\xff\xfe", b"null", b"{}" * 1000, b"[" * 100_000])
def test_what_is_no_list(body: bytes) -> None:
    answer = Answer(200, {"Content-Type": "application/json"}, [body])
    with Upstream(lambda _: answer) as up, House(SETTINGS.format(up.url, KEY) + ONCE) as house:
        for path, headers in LISTS:
            status, _, raw = house.get(path, headers)
            assert status in (200, 400, 502) and json.loads(raw), (path, status)
