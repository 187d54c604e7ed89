"""Pages of files on which none is the client's own, though more follow: libraries stop at an empty page."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import openai
import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

ANN, BOB = "sk-ann-0123456789", "sk-bob-0123456789"
CLIENTS = f"[client ann]\nkey = {ANN}\n[client bob]\nkey = {BOB}\n"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
FILE = (
    b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n1\r\n--x--\r\n'
)
ROW = {"object": "file", "bytes": 1, "created_at": 1, "filename": "a", "purpose": "batch", "status": "processed"}


class Files:
    """Keeps files, the newest first in its list. cursor: "after", as OpenAI has it, or Anthropic's "after_id"."""

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        self.ids: list[str] = []
        self.fails = False

    def __call__(self, request: Request) -> Answer:
        if request.method == "POST":
            self.ids.insert(0, f"file-{len(self.ids)}")
            return Answer.json(ROW | {"id": self.ids[0]})
        asked = {name: values[0] for name, values in parse_qs(request.path.partition("?")[2]).items()}
        if self.fails and self.cursor in asked:
            return Answer.json({"error": {"message": "no more"}}, 500)
        most = int(asked.get("limit", 2))
        if before := asked.get("before_id"):
            end = self.ids.index(before)
            rows, more = self.ids[max(0, end - most) : end], end > most
        else:
            begin = self.ids.index(asked[self.cursor]) + 1 if self.cursor in asked else 0
            rows, more = self.ids[begin : begin + most], begin + most < len(self.ids)
        page: dict[str, Any] = {"object": "list", "data": [ROW | {"id": id} for id in rows], "has_more": more}
        if self.cursor == "after_id":
            page |= {"first_id": rows[0] if rows else None, "last_id": rows[-1] if rows else None}
        return Answer.json(page)


def house(up: Upstream, protocol: str = "responses") -> House:
    return House(f"[upstream up]\nprotocol = {protocol}\nbase_url = {up.url}\napi_key = sk-up-0123456789\n{CLIENTS}")


def key(of: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {of}"}


def made(at: House, *owners: str) -> None:
    for owner in owners:
        assert at.post("/v1/files", FILE, FORM | key(owner))[0] == 200


def test_the_sdk_finds_its_own_behind_those_of_others() -> None:
    with Upstream(Files("after")) as up, house(up) as at:
        made(at, ANN, BOB, ANN, BOB, BOB, BOB, BOB)
        for key_of, own in ((ANN, ["file-2", "file-0"]), (BOB, ["file-6", "file-5", "file-4", "file-3", "file-1"])):
            with openai.OpenAI(base_url=f"{at.url}/v1", api_key=key_of, max_retries=0) as client:
                assert [file.id for file in client.files.list(limit=1)] == own
                assert [file.id for file in client.files.list()] == own


def test_by_anthropics_cursors_no_id_of_others_is_told() -> None:
    anthropics = {"anthropic-version": "2023-06-01", "anthropic-beta": "files-api-2025-04-14"}
    with Upstream(Files("after_id")) as up, house(up, "messages") as at:
        said = {name: anthropics | {"x-api-key": of} for name, of in (("ann", ANN), ("bob", BOB))}
        for who in ("ann", "bob", "bob", "ann", "bob", "bob", "bob"):
            assert at.post("/v1/files", FILE, FORM | said[who])[0] == 200

        def page(query: str) -> dict[str, Any]:
            status, _, raw = at.get(f"/v1/files?{query}", said["ann"])
            assert status == 200 and not any(f"file-{n}".encode() in raw for n in (1, 2, 4, 5, 6)), raw
            found: dict[str, Any] = json.loads(raw)
            return found | {"data": [row["id"] for row in found["data"]]}

        first = page("limit=2")
        assert (first["data"], first["last_id"]) == (["file-3"], "file-3") and first["has_more"]
        last = page("limit=2&after_id=file-3")
        assert (last["data"], last["first_id"], last["has_more"]) == (["file-0"], "file-0", False)
        assert page("limit=2&before_id=file-0")["data"] == ["file-3"]
        none = page("limit=2&before_id=file-3")
        assert (none["data"], none["first_id"], none["last_id"]) == ([], None, None)


@pytest.mark.parametrize("fails", [True, False])
def test_a_further_page_that_is_not_to_be_had_is_an_error(fails: bool) -> None:
    files = Files("after")
    with Upstream(files) as up, house(up) as at:
        made(at, ANN, BOB, BOB)
        files.fails = fails
        status, _, raw = at.get("/v1/files?limit=1", key(ANN))
        assert (status, b"no more" in raw) == ((500, True) if fails else (200, False)), raw
