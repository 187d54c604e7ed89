"""What one client may keep of files and batches, and that no other has anything of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway.batches.test_messages import CLIENTS, echo, requests
from tests.gateway.batches.test_messages import sdk as anthropic_sdk
from tests.gateway.batches.test_openai import URL, house_of, lines, sdk
from tests.support.script import Upstream

ALICE, BOBBY = "alice-key-0123456789", "bobby-key-0123456789"


def uploads(client: openai.OpenAI, content: bytes) -> str:
    return client.files.create(file=("in.jsonl", content), purpose="batch").id


def test_a_client_keeps_so_many_files_and_another_its_own(tmp_path: Path) -> None:
    with Upstream(echo) as up, house_of(up.url, tmp_path, f"{CLIENTS}[batches]\nclient_files = 2\n") as house:
        with sdk(house, ALICE) as alice, sdk(house, BOBBY) as bobby:
            first, _ = uploads(alice, lines(1)), uploads(alice, lines(1))
            with pytest.raises(openai.BadRequestError, match=r"keeps 2 files.*client_files"):
                uploads(alice, lines(1))
            uploads(bobby, lines(1))
            alice.files.delete(first)
            uploads(alice, lines(1))


def test_so_many_batches(tmp_path: Path) -> None:
    with Upstream(echo) as up, house_of(up.url, tmp_path, f"{CLIENTS}[batches]\nclient_batches = 1\n") as house:
        with anthropic_sdk(house) as alice, anthropic_sdk(house, BOBBY) as bobby:
            alice.messages.batches.create(requests=requests(1))
            with pytest.raises(anthropic.BadRequestError, match=r"keeps 1 batches.*client_batches"):
                alice.messages.batches.create(requests=requests(1))
            bobby.messages.batches.create(requests=requests(1))


def test_and_so_many_bytes_of_both(tmp_path: Path) -> None:
    large = lines(1).replace(b"say 0", b"x" * 600_000)
    with Upstream(echo) as up, house_of(up.url, tmp_path, f"{CLIENTS}[batches]\nclient_mb = 1\n") as house:
        with sdk(house, ALICE) as alice:
            id = uploads(alice, large)
            with pytest.raises(openai.BadRequestError, match="keeps 1 MB"):
                uploads(alice, large)
            with pytest.raises(openai.BadRequestError, match="keeps 1 MB"):
                alice.batches.create(input_file_id=id, endpoint=URL, completion_window="24h")


def test_at_once_they_are_no_more_than_one_by_one(tmp_path: Path) -> None:
    with Upstream(echo) as up, house_of(up.url, tmp_path, f"{CLIENTS}[batches]\nclient_files = 3\n") as house:
        with sdk(house, ALICE) as alice, ThreadPoolExecutor(8) as threads:

            def one(_: int) -> bool:
                try:
                    uploads(alice, lines(1))
                except openai.BadRequestError:
                    return False
                return True

            assert sum(threads.map(one, range(8))) == 3 == len(list(alice.files.list()))


def test_a_batch_of_too_many_values_is_not_read(tmp_path: Path) -> None:
    body = b'{"requests":[' + b"{}," * 2_100_000 + b"{}]}"
    headers = {"x-api-key": ALICE, "anthropic-version": "2023-06-01", "Content-Type": "application/json"}
    with Upstream(echo) as up, house_of(up.url, tmp_path, CLIENTS) as house:
        status, _, raw = house.request("POST", "/v1/messages/batches", body, headers)
    assert status == 413 and b"JSON values" in raw


def test_what_is_one_clients_is_no_others(tmp_path: Path) -> None:
    with Upstream(echo) as up, house_of(up.url, tmp_path, CLIENTS) as house:
        with sdk(house, ALICE) as alice, sdk(house, BOBBY) as bobby, anthropic_sdk(house, BOBBY) as other:
            file = uploads(alice, lines(1))
            batch = alice.batches.create(input_file_id=file, endpoint=URL, completion_window="24h").id
            mine = anthropic_sdk(house)
            with mine:
                theirs = mine.messages.batches.create(requests=requests(1)).id
            tries: list[Callable[[], Any]] = [
                lambda: bobby.files.retrieve(file), lambda: bobby.files.content(file),
                lambda: bobby.files.delete(file), lambda: bobby.batches.retrieve(batch),
                lambda: bobby.batches.cancel(batch), lambda: bobby.files.content(f"file-{batch}-output"),
                lambda: bobby.files.retrieve(f"file-{batch}-errors"),
                lambda: bobby.batches.create(input_file_id=file, endpoint=URL, completion_window="24h"),
                lambda: other.messages.batches.retrieve(theirs), lambda: other.messages.batches.cancel(theirs),
                lambda: other.messages.batches.delete(theirs), lambda: list(other.messages.batches.results(theirs)),
            ]  # fmt: skip
            for each in tries:
                with pytest.raises((openai.NotFoundError, anthropic.NotFoundError)):
                    each()
            assert not list(bobby.files.list()) and not list(bobby.batches.list())
            assert not list(other.messages.batches.list())
            assert alice.files.content(file).read() == lines(1)
