"""The shipped settings.ini against the schema, both ways, and the schema against the classes it fills."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from operate.settings import reading, schema, schema_upstream, sections
from operate.settings.environment import expand
from operate.settings.load import ModelRule, TargetRef, load, read
from operate.settings.rows import Key
from operate.settings.upstreams import Upstream

SHIPPED = Path(__file__).resolve().parents[2] / "settings.ini"
TEXT = SHIPPED.read_text()

TABLES: dict[str, dict[str, Key]] = {
    **schema.PLAIN,
    "upstream NAME": schema_upstream.UPSTREAM,
    "client me": schema_upstream.CLIENT,
    "hook NAME": schema_upstream.HOOK,
}
ROWS = [(section, key) for section, rows in TABLES.items() for key in rows]


class Documented(NamedTuple):
    """A key of the file, whether switched on or not: its value and the comment right above it."""

    value: str
    comment: str


def uncommented() -> str:
    """The file with every example switched on: `#key = value`, `#[section]`, `#    further line`."""
    return re.sub(r"(?m)^#(?=[\w\[]|    \S)", "", TEXT.split("\n\n", 1)[1])


def documented() -> dict[tuple[str, str], Documented]:
    return {(section, key): entry for section, key, entry in _entries()}


def _entries() -> Iterator[tuple[str, str, Documented]]:
    section, comment = "", []
    for line in uncommented().split("\n"):
        if line.startswith("# "):
            comment.append(line[2:])
            continue
        if line.startswith("["):
            section = line.strip("[]")
        elif match := re.match(r"([^\s=]+) =\s*(.*)", line):
            yield section, match[1], Documented(match[2], " ".join(comment))
        comment = []


@pytest.mark.parametrize(("section", "key"), ROWS)
def test_every_key_is_in_the_file_with_its_default_and_its_why(section: str, key: str) -> None:
    row, found = TABLES[section][key], documented()[section, key]
    assert found.comment == row.note()
    if row.default is not None:
        assert expand(found.value, {}).text == row.default


def test_the_file_documents_no_key_that_does_not_exist() -> None:
    own = {(section, key) for section, key in documented() if section in TABLES}
    assert own == set(ROWS)


def test_the_file_holds_no_fault_and_gives_the_defaults() -> None:
    settings = load(SHIPPED, environ={})
    bare = read("[upstream demo]\nprotocol = messages, chat, responses\nbase_url = demo:", environ={})
    for part in schema.PLAIN:
        assert getattr(settings, part) == getattr(bare, part)
    assert settings.upstreams["demo"] == bare.upstreams["demo"]
    assert load(environ={}) == settings


def test_the_file_with_every_example_switched_on_holds_no_fault() -> None:
    settings = read(uncommented(), overrides=["hook.NAME.url=http://127.0.0.1:9000/check"], environ={})
    names = ["anthropic", "openai", "demo", "openrouter", "ollama", "gemini", "llamacpp", "vllm", "NAME"]
    assert list(settings.upstreams) == names
    assert settings.upstreams["openrouter"].headers == (("X-Title", "anthropic-proxy", True),)
    assert [client.name for client in settings.clients] == ["me"]
    assert {rule.pattern for rule in settings.models} >= {"llama3:8b", "qwen*", "fast", "coder"}
    coder = [rule.condition for rule in settings.models if rule.pattern == "coder"]
    assert [len(condition.terms) if condition else 0 for condition in coder] == [2, 1, 1, 0]


def test_no_key_in_the_environment_leaves_the_demo() -> None:
    settings = load(SHIPPED, environ={})
    assert {name: upstream.enabled for name, upstream in settings.upstreams.items()} == {
        "anthropic": False,
        "openai": False,
        "demo": True,
    }
    assert (
        settings.upstreams["anthropic"].off_because
        == "no key: set ANTHROPIC_API_KEY or SERVER_API_KEY in the environment"
    )


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, {"anthropic", "demo"}),
        ({"OPENAI_API_KEY": "k"}, {"openai", "demo"}),
        ({"SERVER_API_KEY": "k"}, {"anthropic", "openai", "demo"}),
        ({"FORWARD_CLIENT_KEY": "true"}, {"anthropic", "openai", "demo"}),
        ({"UPSTREAM_BASE": "http://127.0.0.1:1"}, {"anthropic", "demo"}),
        ({"OPENAI_UPSTREAM_BASE": "http://127.0.0.1:1/v1"}, {"openai", "demo"}),
        ({"UPSTREAM_BASE": ""}, {"demo"}),
    ],
)
def test_the_environment_switches_upstreams_on(environ: dict[str, str], on: set[str]) -> None:
    upstreams = load(SHIPPED, environ=environ).upstreams
    assert {name for name, upstream in upstreams.items() if upstream.enabled} == on


def test_the_environment_names_of_earlier_proxies_work() -> None:
    settings = load(
        SHIPPED,
        environ={
            "HTTP_POOL_CONNECTIONS": "21",
            "HTTP_POOL_MAXSIZE": "101",
            "HTTP_KEEPALIVE_CONNECTIONS": "16",
            "CONNECT_TIMEOUT": "6",
            "REQUEST_TIMEOUT": "61",
            "STREAM_TIMEOUT": "301",
            "DEBUG": "true",
            "ENABLE_REQUEST_BODY_LOGGING": "true",
            "ENABLE_RESPONSE_BODY_LOGGING": "true",
            "UPSTREAM_BASE": "http://a:1",
            "OPENAI_UPSTREAM_BASE": "http://o:1",
            "SERVER_API_KEY": "server",
            "OPENAI_API_KEY": "own",
            "FORWARD_CLIENT_KEY": "1",
            "MODEL_MAP_JSON": '{"a": "b"}',
            "BIG_MODEL": "big",
            "SMALL_MODEL": "small",
        },
    )
    pool, times, logs = settings.pool, settings.timeouts, settings.logging
    assert (pool.pools, pool.max_connections, pool.keepalive_connections) == (21, 101, 16)
    assert (times.connect, times.request, times.stream) == (6, 61, 301)
    assert (logs.level_of("proxy"), logs.request_bodies, logs.response_bodies) == (10, "all", "all")
    anthropic, openai = settings.upstreams["anthropic"], settings.upstreams["openai"]
    assert (anthropic.base_url, anthropic.api_key, anthropic.forward_client_key) == (
        "http://a:1",
        "server",
        True,
    )
    assert (openai.base_url, openai.api_key, openai.forward_client_key) == ("http://o:1", "own", True)
    aliases = settings.aliases
    assert (dict(aliases.map_json), aliases.big_model, aliases.small_model) == ({"a": "b"}, "big", "small")


def test_the_usual_models_have_their_upstreams() -> None:
    rules = load(SHIPPED, environ={}).models
    assert {rule.pattern: rule.targets for rule in rules} == {
        pattern: (TargetRef(name, None),)
        for pattern, name in {
            "demo*": "demo",
            "claude-*": "anthropic",
            "gpt-*": "openai",
            "o[0-9]*": "openai",
            "chatgpt-*": "openai",
            "codex-*": "openai",
            "text-embedding-*": "openai",
            "omni-moderation-*": "openai",
            "whisper-*": "openai",
            "tts-*": "openai",
        }.items()
    }
    assert all(
        isinstance(rule, ModelRule) and TEXT.split("\n")[rule.line - 1].startswith(rule.pattern) for rule in rules
    )


@pytest.mark.parametrize("section", schema.PLAIN)
def test_classes_and_schema_have_the_same_names(section: str) -> None:
    assert set(reading.CLASSES[section].__struct_fields__) == set(schema.PLAIN[section])


def test_a_client_has_the_names_of_the_schema() -> None:
    assert set(sections.Client.__struct_fields__) == set(schema_upstream.CLIENT) | {"name"}


def test_an_upstream_has_the_names_of_the_schema() -> None:
    names = set(Upstream.__struct_fields__) - {"base", "_prefix"}
    own = {"first_byte", "idle", "request", "stream"}
    assert names == (set(schema_upstream.UPSTREAM) - own) | {"name", "off_because", "timeouts"}


def test_every_default_is_a_value_of_its_kind() -> None:
    for rows in TABLES.values():
        for row in rows.values():
            if row.default is not None:
                assert row.kind.show(row.kind.parse(row.default)) == row.default
