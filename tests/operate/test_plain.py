"""What clients write is no command for the terminal of whoever reads it, and no formula for a spreadsheet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from console import usage
from operate import plain
from tests.support.house import House, one_upstream
from tests.support.script import Upstream
from tests.support.two_upstreams import ASK, PATH, says

OBEYED = ["\x1b[31m", "\x9b31m", "\x9d0;title\x9c", "\x85", "\u2028", "\u202eabc", "\u2066", "\r", "\x00"]


@pytest.mark.parametrize("text", OBEYED)
def test_nothing_of_it_is_obeyed(text: str) -> None:
    assert plain.plain(f"a{text}b").isprintable() and plain.of_header(f"a{text}b").isprintable()
    raw = json.dumps({"a": text}, ensure_ascii=False)
    assert json.loads(plain.escaped(raw)) == {"a": text}
    assert not any(c in plain.escaped(raw) for c in "\x1b\x9b\x9d\x85\u2028\u202e\u2066")


@pytest.mark.parametrize(("sent", "read"), [
    ("plain", "plain"), ("Köln – Süd", "Köln – Süd"), ("日本語", "日本語"), ("\x9b31m", "?31m"), ("", ""),
])  # fmt: skip
def test_headers_are_utf_8(sent: str, read: str) -> None:
    assert plain.of_header(sent.encode().decode("latin-1")) == read
    assert plain.of_header("K\xf6ln") == "Köln"  # in Latin-1


def test_words_in_headers_reach_people_as_they_are_meant(tmp_path: Path) -> None:
    said = "Köln \x9b31m\u202e".encode().decode("latin-1")
    raw = "x\x9bx"  # which is no UTF-8
    headers = {"X-Claude-Code-Session-Id": said, "X-Claude-Code-Agent-Id": raw, "User-Agent": said,
               "X-Proxy-Tags": f"team={said}"}  # fmt: skip
    body = ASK | {"messages": [{"role": "user", "content": "\x9b31m \u202e"}]}
    with Upstream(lambda r: says("ok")) as up:
        text = one_upstream(up.url, "chat") + "[logging]\ntags = team\nrequest_bodies = all\n"
        with House(text, folder=tmp_path) as house:
            assert house.post(PATH, body, headers)[0] == 200
    logs = {file.name: file.read_text() for file in tmp_path.glob("*.json")}
    assert not [name for name, lines in logs.items() if any(c in lines for c in "\x9b\x85\u202e")]
    record: dict[str, Any] = json.loads(logs["performance.json"].splitlines()[0])
    assert (record["session"], record["agent"]) == ("Köln ?31m?", "x?x")
    assert record["user_agent.original"] == "Köln ?31m?" and record["tags"] == {"team": "Köln ?31m?"}
    kept = json.loads(logs["requests.json"].splitlines()[0])["body"]
    assert json.loads(kept)["messages"] == body["messages"]  # the body itself is as it was


def test_a_table_and_a_spreadsheet_run_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    names = ["=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "@SUM(1)", "@cf/meta/llama-3", "-", "m\x9b1m", "a=b"]
    rows = [((name,), usage.Sum(1)) for name in names]
    monkeypatch.setattr(usage.UsageStore, "read", lambda *_: rows)
    assert usage.main(["--by", "model", "--csv", "--host"]) == 0
    read = [row["model"] for row in csv.DictReader(capsys.readouterr().out.splitlines())]
    assert read == [f"'{name}" for name in names[:3]] + names[3:5] + ["m\x9b1m", "a=b"]
    assert usage.main(["--by", "model", "--host"]) == 0
    assert "m?1m" in capsys.readouterr().out
