"""Settings for when upstreams fail or drown: [retry], [breaker], [admission], several keys, bounds on rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from operate.settings import schema
from operate.settings.load import Admission, Breaker, Retry, Settings, SettingsError, Upstream, read
from tests.support.house import House

UPSTREAM = "[upstream x]\nprotocol = chat\nbase_url = http://x\n"


def take(text: str, *options: str, **environ: str) -> Settings:
    """Settings of `text` with an upstream after it (so that lines of `text` count from 1)."""
    return read(f"{text}\n{UPSTREAM}", "settings.ini", options, environ)


def fault(text: str, *options: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        take(text, *options, **environ)
    (problem,) = caught.value.problems
    return str(problem)


def upstream(lines: str, folder: Path = Path("/nonexistent"), **environ: str) -> Upstream:
    return read(UPSTREAM + lines, "settings.ini", (), environ, folder).upstreams["x"]


# Sections


def test_a_class_made_without_arguments_is_what_an_empty_file_gives() -> None:
    settings = take("")
    assert (settings.retry, settings.breaker, settings.admission) == (Retry(), Breaker(), Admission())
    assert structs.astuple(settings.retry) == (3, 0.5, 8, 10, (), 20, 3, 120, True, False, (), 0, 16)
    assert structs.astuple(settings.breaker) == (True, 50, 30, 10, 5, 5, 120)
    assert structs.astuple(settings.admission) == (0, 200, 10)


@pytest.mark.parametrize(
    ("section", "key", "text", "value"),
    [
        ("retry", "max_attempts", "1", 1),
        ("retry", "backoff", "0", 0.0),
        ("retry", "max_retry_after", "0.5", 0.5),
        ("retry", "also", "500,  200, 500", (500, 200)),
        ("retry", "budget_percent", "0", 0),
        ("retry", "budget_per_second", "0.1", 0.1),
        ("retry", "deadline", "600", 600.0),
        ("retry", "on_overflow", "off", False),
        ("retry", "on_refusal", "on", True),
        ("retry", "hedge", "claude-haiku-*, gpt-5", ("claude-haiku-*", "gpt-5")),
        ("retry", "rejoin_seconds", "30", 30.0),
        ("retry", "rejoin_mb", "1", 1),
        ("breaker", "enabled", "false", False),
        ("breaker", "failure_percent", "100", 100),
        ("breaker", "cooldown", "120", 120.0),
        ("admission", "max_concurrent", "5", 5),
        ("admission", "queue", "0", 0),
        ("admission", "queue_seconds", "0", 0.0),
    ],
)
def test_values_are_read_and_shown(section: str, key: str, text: str, value: Any) -> None:
    settings = take(f"[{section}]\n{key} = {text}")
    assert getattr(getattr(settings, section), key) == value
    (shown,) = (each.text for each in settings.values if (each.section, each.key) == (section, key))
    assert schema.PLAIN[section][key].kind.parse(shown) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[retry]\nmax_attempts = 0", "'0' is not a whole number from 1 to 20"),
        ("[retry]\nalso = 399", "'399' is not statuses from 400 to 599, or 200, separated by commas, or empty"),
        ("[retry]\nalso = 600", "'600' is not statuses"),
        ("[retry]\nalso = 5xx", "'5xx' is not statuses"),
        ("[retry]\nalso = ٥٠٠", "is not statuses"),
        ("[retry]\nalso = 500 502", "'500 502' is not statuses"),
        ("[retry]\nbudget_percent = 101", "'101' is not a whole number from 0 to 100"),
        ("[retry]\nbudget_per_second = -1", "'-1' is not a number from 0 to 10000"),
        ("[retry]\ndeadline = 0", "'0' is not seconds from 0.1 to"),
        ("[retry]\nhedge = a b", "'a b' is not names or globs of models, separated by commas, or empty"),
        ("[retry]\nmax_atempts = 1", "unknown key; did you mean 'max_attempts'?"),
        ("[breaker]\nfailure_percent = 0", "'0' is not a whole number from 1 to 100"),
        ("[breaker]\nconsecutive = 0", "'0' is not a whole number from 1"),
        ("[admission]\nqueue = many", "'many' is not a whole number"),
        ("[admision]\nqueue = 1", "unknown section; did you mean 'admission'?"),
    ],
)
def test_a_bad_value_is_told(text: str, message: str) -> None:
    line = fault(text)
    assert line.startswith(("settings.ini:2: ", "settings.ini:1: [admision]")) and message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[retry]\nbackoff = 9",
            "settings.ini:2: [retry] backoff: backoff = 9 must not be larger than max_backoff = 8",
        ),
        (
            "[retry]\nmax_backoff = 0",
            "settings.ini:2: [retry] max_backoff: backoff = 0.5 must not be larger than max_backoff = 0",
        ),
        (
            "[retry]\nmax_backoff = 1\nbackoff = 2",
            "settings.ini:3: [retry] backoff: backoff = 2 must not be larger than",
        ),
        ("[cache]\nentry_kb = 2049\nmb = 2", "[cache] entry_kb: entry_kb = 2049 must not be larger than mb = 2"),
        ("[breaker]\ncooldown = 300", "[breaker] cooldown: cooldown = 300 must not be larger than max_cooldown = 120"),
    ],
)
def test_a_first_wait_above_its_bound_is_told(text: str, message: str) -> None:
    assert message in fault(text)


def test_a_wait_that_cannot_be_read_is_the_one_fault() -> None:
    assert "is not seconds" in fault("[retry]\nbackoff = long")


# Bounds of upstreams and clients


def test_bounds_are_off_unless_they_are_set() -> None:
    settings = take("[client me]\nkey = 0123456789abcdef")
    x, (me,) = settings.upstreams["x"], settings.clients
    assert (x.max_concurrent, x.adaptive, x.requests_per_minute, x.tokens_per_minute) == (0, False, 0, 0)
    assert (me.requests_per_minute, me.tokens_per_minute) == (0, 0)


def test_bounds_are_read() -> None:
    x = upstream("max_concurrent = 4\nadaptive = true\nrequests_per_minute = 60\ntokens_per_minute = 100000")
    assert (x.max_concurrent, x.adaptive, x.requests_per_minute, x.tokens_per_minute) == (4, True, 60, 100_000)
    me = take("[client me]\nkey = 0123456789abcdef\nrequests_per_minute = 6\ntokens_per_minute = 7").clients[0]
    assert (me.requests_per_minute, me.tokens_per_minute) == (6, 7)
    assert "'1k' is not a whole number" in fault("", "upstream.x.tokens_per_minute=1k")


# Several keys


@pytest.mark.parametrize(
    ("lines", "credentials"),
    [
        ("", ("",)),
        ("api_key = one", ("one",)),
        ("keys = one", ("one",)),
        ("keys = ${K1}, ${K2},${K3:}", ("first", "second")),
        ("keys = ${K3:}, ${K2}, ${K1},", ("second", "first")),
        ("keys = ${BOTH}", ("a1", "a2")),
        ("keys =\n    one\n    two, one", ("one", "two")),
        ("keys = file:k1, two, file:more", ("from-file", "two", "m1", "m2")),
        ("keys =", ("",)),
        ("api_key = one\nkeys =", ("one",)),
        ("api_key =\nkeys = two", ("two",)),
    ],
)
def test_keys_come_from_files_variables_and_lists(lines: str, credentials: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "k1").write_text(" from-file\n")
    (tmp_path / "more").write_text("m1\nm2\n")
    assert upstream(lines, tmp_path, K1="first", K2="second", BOTH="a1,a2").credentials == credentials


def test_keys_beside_a_key_are_told() -> None:
    with pytest.raises(SettingsError) as caught:
        upstream("api_key = one\nkeys = two")
    assert (
        str(caught.value) == "settings.ini:5: [upstream x] keys: is given together with api_key; write only one of them"
    )


@pytest.mark.parametrize(
    ("lines", "environ", "off"),
    [
        ("keys = ${K1:}, ${K2:}", {}, "no key: set K1 or K2 in the environment"),
        ("keys = ${K1:}, ${K2:}", {"K2": "k"}, ""),
        ("keys =", {}, "no key: keys is empty; for a server that needs no key"),
        ("api_key =\nkeys =", {}, "no key: api_key is empty"),
        ("api_key = ${K1:}\nkeys = ${K2:}", {}, "no key: set K1 or K2"),
        ("api_key = ${K1:}\nkeys = ${K2:}", {"K2": "k"}, ""),
        ("keys =\nforward_client_key = true", {}, ""),
        ("keys =\nenabled = true", {}, ""),
        ("keys = k\nenabled = false", {}, "switched off"),
    ],
)
def test_an_upstream_with_none_of_its_keys_is_off(lines: str, environ: dict[str, str], off: str) -> None:
    found = upstream(lines, **environ)
    assert found.enabled == (not off) and found.off_because.startswith(off) and bool(found.off_because) == bool(off)


PLANTED = {"K1": "sk-planted-0001", "K2": "planted-key-0002", "K3": "planted-key-0003"}
PLANTED_LINES = "keys = ${K1}, ${K2},\n  ${K3}\n"


def test_keys_are_in_no_repr_and_no_description() -> None:
    settings = read(UPSTREAM + PLANTED_LINES, environ=PLANTED)
    assert set(PLANTED.values()) <= set(settings.secrets())
    described = "\n".join(settings.describe())
    assert not [key for key in PLANTED.values() if key in repr(settings) + described]
    assert "keys = ********, ********, ********" in described


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("${K2}", "${K2} x"),
        ("${K2}", "${K2}ü"),
        ("keys =", "key ="),
        ("keys = ${K1}, ${K2},\n  ${K3}", "keys = '${K1}, ${K2}, ${K3}'"),
        ("keys =", "api_key ="),
        ("keys =", "api_key = ${K1}\nkeys ="),
        ("keys =", "requests_per_minute ="),
        ("keys =", "adaptive ="),
    ],
)
def test_no_error_shows_a_key(old: str, new: str) -> None:
    text = UPSTREAM + PLANTED_LINES.replace(old, new)
    for name, value in PLANTED.items():  # what the file itself holds must not be shown either
        for written in (text, text.replace("${" + name + "}", value)):
            with pytest.raises(SettingsError) as caught:
                read(written, environ=PLANTED)
            told = str(caught.value)
            assert not [key for key in PLANTED.values() if key in told], told


def test_the_demo_takes_its_own_key_whatever_keys_it_is_given() -> None:
    settings = "[upstream demo]\nprotocol = chat\nbase_url = demo:\nkeys = one, two\n"
    with House(settings) as house:
        body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
        assert [house.request("POST", "/v1/chat/completions", body)[0] for _ in range(3)] == [200] * 3
