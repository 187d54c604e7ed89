"""The parts below load.py: INI lines, expansion, the words of a near miss, an upstream's URLs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from operate.settings import schema
from operate.settings.environment import expand
from operate.settings.errors import SettingsError, did_you_mean, shown
from operate.settings.inifile import read_ini
from operate.settings.load import Upstream, read
from operate.settings.schema_upstream import UPSTREAM
from operate.settings.upstreams import split_version
from translate.reasoning import effort


def upstream(lines: str, **environ: str) -> Upstream:
    return read(f"[upstream x]\n{lines}", environ=environ).upstreams["x"]


# INI


def test_values_lines_and_comments() -> None:
    text = (
        "; top\n"
        "[a]\n"
        "one = x # not ; a comment\n"
        "  # a comment\n"
        "  more = of one\n"
        "\n"
        "  two=  = y  \n"
        "[b  c]\n"
        "\ttab : colon = z\n"
        "empty =\n"
        "list =\n"
        "    first\n"
        "\tsecond\n"
    )
    sections, problems = read_ini(text, "f")
    assert problems == []
    found = {
        name: {key: (entry.value, entry.line) for key, entry in section.entries.items()}
        for name, section in sections.items()
    }
    assert found == {
        "a": {"one": ("x # not ; a comment\nmore = of one", 3), "two": ("= y", 7)},
        "b c": {"tab : colon": ("z", 9), "empty": ("", 10), "list": ("\nfirst\nsecond", 11)},
    }


def test_the_first_of_two_equal_keys_counts_and_the_lines_of_the_second_are_left_out() -> None:
    sections, problems = read_ini("[a]\nk = 1\nk = 2\n  3\nl = 4", "f")
    assert [entry.value for entry in sections["a"].entries.values()] == ["1", "4"]
    assert [(problem.line, problem.key) for problem in problems] == [(3, "k")]


def test_letter_case_of_keys_counts_and_no_section_lends_its_keys() -> None:
    sections, problems = read_ini("[DEFAULT]\nc = 0\n[a]\nK = 1\nk = 2", "f")
    assert problems == [] and list(sections) == ["DEFAULT", "a"]
    assert {key: entry.value for key, entry in sections["a"].entries.items()} == {"K": "1", "k": "2"}


@given(st.text(alphabet=" \t\nab=[]#;:\x0b\x1c\x85\u2028\r", max_size=60))
def test_every_key_is_found_on_the_line_that_it_is_said_to_be(text: str) -> None:
    lines = text.split("\n")
    for section in read_ini(text, "f")[0].values():
        for key, entry in section.entries.items():
            assert lines[entry.line - 1].strip().startswith(key)
            first = entry.value.split("\n")[0]
            assert lines[entry.line - 1].strip().endswith(first)


# Expansion


@pytest.mark.parametrize(
    ("raw", "text", "used"),
    [
        ("plain $A $ {", "plain $A $ {", []),
        ("${A}", "one", ["A"]),
        ("<${A}|${A}|${B}>", "<one|one|two>", ["A", "B"]),
        ("${A:x}", "one", ["A"]),
        ("${EMPTY:x}", "x", []),
        ("${EMPTY}", "", []),
        ("${GONE:}", "", []),
        ("${GONE:${ALSO:${A}}}", "one", ["A"]),
        ("${A:${GONE}}", "one", ["A"]),
        ("${GONE:-x}|${EMPTY:-x}|${A:-x}", "x|x|one", ["A"]),
        ("${GONE:-}|${GONE:--1}", "|-1", []),
        ("${GONE:-${ALSO:-${A:-x}}}", "one", ["A"]),
        ("${GONE:a:b}", "a:b", []),
        ('${GONE:{"a": {"b": 1}}}!', '{"a": {"b": 1}}!', []),
        ("$${A} ${A}", "${A} one", ["A"]),
        ("${GONE:$${A}}", "${A}", []),
        ("${A:$${X}b}c", "onec", ["A"]),
        ("${NESTED}", "${A}", ["NESTED"]),
        ("${BLANKS}", "key", ["BLANKS"]),
    ],
)
def test_variables_are_expanded(raw: str, text: str, used: list[str]) -> None:
    environ = {"A": "one", "B": "two", "EMPTY": "", "NESTED": "${A}", "BLANKS": " key\n"}
    expanded = expand(raw, environ)
    assert (expanded.text, expanded.used, expanded.faults) == (text, used, [])


@pytest.mark.parametrize(
    ("raw", "count", "words"),
    [
        ("${GONE}", 1, "GONE is not set"),
        ("${GONE} ${ALSO}", 2, "ALSO is not set"),
        ("${GONE:${ALSO}}", 1, "ALSO is not set"),
        ("${A", 1, "after '${' must come"),
        ("${A:", 1, "no closing"),
        ("${A:{}", 1, "no closing"),
        ("${}", 1, "after '${' must come"),
        ("${1A}", 1, "after '${' must come"),
        ("${A-B}", 1, "after '${' must come"),
        ("${A:" * 30, 1, "more than 20 levels deep"),
        ("${A:" * 100_000, 1, "more than 20 levels deep"),
    ],
)
def test_faults_of_expansion(raw: str, count: int, words: str) -> None:
    faults = expand(raw, {}).faults
    assert words in faults[0] if count == 1 else words in faults[-1]
    assert len(faults) == count


@given(st.text(alphabet="${}:A ", max_size=40))
def test_expansion_gives_text_or_faults_for_anything(raw: str) -> None:
    expanded = expand(raw, {"A": "x"})
    assert expanded.faults or "${" not in expanded.text or "$${" in raw


def test_the_variables_of_a_default_are_named_even_where_it_is_not_used() -> None:
    assert expand("${A:${B:}}", {"A": "x"}).named == ["A", "B"]


# Words


def test_the_nearest_name() -> None:
    names = ["port", "host", "base_url", "api_key"]
    assert did_you_mean("Prot", names) == "; did you mean 'port'?"
    assert did_you_mean("url", names) == "; did you mean 'base_url'?"
    assert did_you_mean("apikey", names) == "; did you mean 'api_key'?"
    assert did_you_mean("zzz", names) == did_you_mean("x", []) == ""


def test_what_could_be_a_key_is_not_shown() -> None:
    for secret in ("sk-ant-api03-x", "Bearer abc", "x" * 61, "AIzaSyA1234567890abcdefgh", "key-1"):
        assert secret not in shown(secret)
    for plain in ("12abc", "8082 # mine", "claude-sonnet", "0.0.0.0:80"):
        assert plain in shown(plain)


# Upstreams


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/E"),
        ("https://api.anthropic.com/", "https://api.anthropic.com/v1/E"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/E"),
        ("http://localhost:11434", "http://localhost:11434/v1/E"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1/E"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/E"),
        ("https://openrouter.ai/api", "https://openrouter.ai/api/v1/E"),
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/E"),
        ("https://api.deepseek.com/anthropic", "https://api.deepseek.com/anthropic/v1/E"),
        ("https://x.example/v1beta/openai", "https://x.example/v1beta/openai/E"),
        ("https://api.z.ai/api/paas/v4", "https://api.z.ai/api/paas/v4/E"),
        ("https://api.z.ai/api/anthropic", "https://api.z.ai/api/anthropic/v1/E"),
        ("https://v1.example.com", "https://v1.example.com/v1/E"),
        ("http://v1", "http://v1/v1/E"),
        ("https://x.example/vertex", "https://x.example/vertex/v1/E"),
    ],
)
def test_where_v1_goes(base_url: str, url: str) -> None:
    found = upstream(f"protocol = chat\nbase_url = {base_url}")
    assert found.url("E") == url
    assert found.base + ("/v1/E" if url.endswith("/v1/E") else "/E") == url


def test_add_v1_overrules() -> None:
    assert split_version("https://h/inference", "false")[1] == "https://h/inference"
    assert split_version("https://h/v1/acc/anthropic", "true")[1] == "https://h/v1/acc/anthropic/v1"
    assert split_version("https://h/v1", "true")[1] == split_version("https://h/v1", "false")[1] == "https://h/v1"


def test_the_demo_upstream_moves_to_where_it_listens() -> None:
    demo = upstream("protocol = chat\nbase_url = demo:")
    moved = structs.replace(demo, base_url="http://127.0.0.1:5")
    assert demo.is_demo and not moved.is_demo
    assert (moved.base, moved.url("models")) == ("http://127.0.0.1:5", "http://127.0.0.1:5/v1/models")


USUAL = "protocol = chat\nbase_url = ${BASE:https://h}\napi_key = ${K1:${K2:}}\nforward_client_key = ${FORWARD:false}\n"


@pytest.mark.parametrize(
    ("lines", "environ", "off"),
    [
        (USUAL, {}, "no key: set K1 or K2 in the environment"),
        (USUAL, {"K1": ""}, "no key: set K1 or K2 in the environment"),
        (USUAL, {"K2": "k"}, ""),
        (USUAL, {"FORWARD": "true"}, ""),
        (USUAL, {"BASE": "http://127.0.0.1:1"}, ""),
        (USUAL + "enabled = true", {}, ""),
        (USUAL + "enabled = false", {"K1": "k"}, "switched off: enabled = false"),
        ("protocol = chat\nbase_url = http://h\n", {}, ""),
        ("protocol = chat\nbase_url = http://h\napi_key =", {}, "no key: api_key is empty"),
    ],
)
def test_an_upstream_without_a_key_is_off_and_says_what_to_set(lines: str, environ: dict[str, str], off: str) -> None:
    found = upstream(lines, **environ)
    assert found.enabled == (not off)
    assert found.off_because.startswith(off) and bool(off) == bool(found.off_because)


def test_headers_keep_order_and_case() -> None:
    found = upstream("protocol = chat\nbase_url = http://h\nheaders =\n  X-B: 1: 2\n  # not this\n  x-a:\n")
    assert found.headers == (("X-B", "1: 2", False), ("x-a", "", False))
    assert upstream("protocol = chat\nbase_url = http://h\nheaders = A: b").headers == (("A", "b", False),)


def test_counting_tokens_goes_with_the_messages_protocol() -> None:
    assert upstream("protocol = messages\nbase_url = http://h").count_tokens is True
    assert upstream("protocol = messages\nbase_url = http://h\ncount_tokens = false").count_tokens is False
    assert upstream("protocol = chat, responses\nbase_url = http://h").count_tokens is False
    with pytest.raises(
        ValueError, match=r"^settings.ini:4: \[upstream x\] count_tokens: true needs protocol = messages$"
    ):
        try:
            upstream("protocol = chat\nbase_url = http://h\ncount_tokens = true")
        except Exception as error:
            raise ValueError(str(error)) from error


# Efforts


@pytest.mark.parametrize(
    ("text", "value"),
    [("Known", "known"), ("true", "true"), ("low, HIGH,max", "low, high, max"), ("none", "none")],
)
def test_efforts_are_read(text: str, value: str) -> None:
    assert upstream(f"protocol = chat\nbase_url = http://a\nreasoning_effort = {text}").reasoning_effort == value


def test_the_words_of_settings_are_the_translators() -> None:
    words = ", ".join(effort.BUDGETS)
    given = upstream(f"protocol = chat\nbase_url = http://a\nreasoning_effort = {words}")
    assert given.reasoning_effort == words
    assert UPSTREAM["thinking_switch"].kind.brief == ", ".join(("none", *effort.SWITCHES))


@pytest.mark.parametrize("text", ["loud", "auto, low", "low, true"])
def test_what_is_no_effort(text: str) -> None:
    with pytest.raises(SettingsError, match="reasoning_effort"):
        upstream(f"protocol = chat\nbase_url = http://a\nreasoning_effort = {text}")


def test_bounds_are_numbers_as_people_write_them() -> None:
    sections = (*schema.PLAIN.values(), *schema.NAMED.values())
    notes = [key.note() for rows in sections for key in rows.values()]
    assert len(notes) > 150 and not [note for note in notes if re.search(r"\de[+-]\d", note)]
    with pytest.raises(SettingsError, match="from 1 to 31536000, such as"):
        read("[cache]\nseconds = 31536001\n[upstream x]\nprotocol = chat\nbase_url = http://a")
