"""What is taken for a secret, in whatever form it stands, and what is not."""

from __future__ import annotations

import json
import time

import pytest
import ujson
from hypothesis import given
from hypothesis import strategies as st

from operate.logs import redaction
from operate.logs.redaction import Redaction, looks_like_a_key

SECRETS = ('quo"ted\\secret', "sl/ash/secret", "short", "secret-1234", "secret-1234-longer", "schlüssel-äöü")


@pytest.mark.parametrize("dumps", [json.dumps, ujson.dumps, lambda what: json.dumps(what, ensure_ascii=False)])
def test_however_it_is_written(dumps: object) -> None:
    mask = Redaction(SECRETS)
    once = dumps({"a": list(SECRETS)})  # type: ignore[operator]
    twice = dumps({"body": once})  # type: ignore[operator]
    for text in (" ".join(SECRETS), once, twice):
        for said in (mask.text(text), mask.data(text.encode()).decode()):
            assert not any(part in said for part in ("quo", "sl/ash", "sl\\/ash", "1234", "longer", "schl"))
            assert "short" in said
    json.loads(mask.text(once))


@pytest.mark.parametrize("key", ["sk-ant-api03-aB3", "AIzaSyD-1234567", "0123456789abcdef", "eyJhbGci.eyJz.Sfl"])
def test_keys_of_clients_are_masked(key: str) -> None:
    mask = Redaction()
    mask.saw([key])
    assert mask.data(f"wrong key {key}!".encode()) == b"wrong key [secret]!"


@pytest.mark.parametrize(
    "word",
    ["dummy", "not-needed", "anthropic", "sk-no-key-required", "completed", "gen_ai.usage.input_tokens", '"status":200',
     "HTTP request 1 Completed", "a1,b2,c3,d4,e5", "x1" * 5000],
)  # fmt: skip
def test_what_is_no_key_blanks_nothing(word: str) -> None:
    """Else who sends it as a key could take any word out of the logs."""
    assert not looks_like_a_key(word)
    mask = Redaction()
    mask.saw([word])
    assert mask.text(f"[{word}]") == f"[{word}]"


def test_the_keys_of_clients_are_bounded() -> None:
    mask = Redaction(["configured-secret"])
    mask.saw(["Early-key-000"])
    for n in range(2 * redaction.MAX_SENT - 1):
        mask.saw([f"Other-key-{n:03d}"])
        mask.saw(["Early-key-000"])  # it is in use
    mask.saw(["Newest-key-000"])
    text = "configured-secret Early-key-000 Newest-key-000 Other-key-000"
    assert mask.text(text) == "[secret] [secret] [secret] Other-key-000"
    assert "Early" not in repr(mask)


def test_secrets_of_before_a_change_are_masked_on() -> None:
    mask = Redaction(["the-old-secret", "the-same-secret"])
    mask.configure(["the-new-secret", "the-same-secret"])
    assert mask.text("the-old-secret the-new-secret the-same-secret") == "[secret] [secret] [secret]"


def test_a_text_that_was_clean_is_masked_once_its_secret_is_known() -> None:
    mask = Redaction()
    text = "the model A-Key-of-ann-1"
    assert mask.text(text) == mask.text(text) == text
    mask.saw(["A-Key-of-ann-1"])
    assert mask.text(text) == mask.text(text) == "the model [secret]"


def test_a_text_that_comes_again_costs_the_same_with_many_keys() -> None:
    """A request has some eight short texts, and a team may have hundreds of keys."""

    def cost(keys: int) -> float:
        mask = Redaction([f"{number:04}-is-one-of-the-keys" for number in range(keys)])
        took = []
        for _ in range(5):
            began = time.process_time()
            for _ in range(2000):
                mask.text("claude-cli/2.1.3 (external, cli)")
            took.append(time.process_time() - began)
        return min(took)

    assert cost(500) < 5 * cost(1)


def test_a_new_key_of_a_client_costs_the_same_with_many_keys() -> None:
    """A team whose keys are in the settings as hashes brings one that is not among the latest with each request."""

    def cost(keys: int) -> float:
        mask = Redaction([f"{number:04}-is-one-of-the-keys" for number in range(keys)])
        began = time.process_time()
        for number in range(1000):
            mask.saw([f"Key-of-client-{number:05}"])
        return time.process_time() - began

    assert min(cost(1000) for _ in range(3)) < 5 * min(cost(1) for _ in range(3))


def test_the_texts_that_are_known_to_be_clean_are_bounded() -> None:
    mask = Redaction(["configured-secret"])
    for number in range(3 * redaction.MAX_CLEAN):
        mask.text(f"model {number}")
        mask.text(f"{number}" * redaction.MAX_CLEAN_LENGTH)
    clean = mask._known.clean
    assert len(clean) <= redaction.MAX_CLEAN and max(map(len, clean)) <= redaction.MAX_CLEAN_LENGTH


KEYS = [f"{number:03}-is-one-of-{'many' * (number % 9)}" for number in range(200)]


@given(
    parts=st.lists(st.one_of(st.sampled_from(KEYS), st.text(max_size=20)), max_size=12),
    few=st.booleans(),
    sent=st.sets(st.sampled_from(KEYS[:40])),
)
def test_many_secrets_are_masked_like_few(parts: list[str], few: bool, sent: set[str]) -> None:
    """Many are looked for all at once. What contains another secret is masked as a whole."""
    known = KEYS[::50] if few else KEYS
    mask = Redaction(known)
    mask.saw(sent)
    secrets = sorted({*known, *sent}, key=len, reverse=True)
    data, text = "".join(parts).encode("utf-8", "replace"), "".join(parts)
    wanted, said = data, text
    for secret in secrets:
        wanted, said = wanted.replace(secret.encode(), b"[secret]"), said.replace(secret, "[secret]")
    assert mask.data(data) == wanted and mask.text(text) == mask.text(text) == said


@pytest.mark.parametrize("before", range(40))
def test_a_secret_is_found_wherever_it_begins(before: int) -> None:
    keys = [f"{number:03}-0123456789" for number in range(100)]
    for size in (redaction.LONG - 1, redaction.LONG, redaction.LONG + 1):
        mask = Redaction([key.ljust(size, "z") for key in keys])
        data = b"a" * before + keys[7].ljust(size, "z").encode() + b"b" * (before % 7)
        assert mask.data(data) == b"a" * before + b"[secret]" + b"b" * (before % 7)
