"""settings.ini -> Settings: what is read, what is refused and in which words, what is never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from operate.settings.load import ModelRule, Settings, SettingsError, TargetRef, is_loopback, load, read

UPSTREAM = "[upstream x]\nprotocol = chat\nbase_url = http://x\n"
DEMO = "[upstream demo]\nprotocol = messages, chat\nbase_url = demo:\n"


def take(text: str = "", *options: str, **environ: str) -> Settings:
    """Settings of `text` with a demo upstream after it (so that lines of `text` count from 1)."""
    return read(text + "\n" + DEMO, "settings.ini", options, environ)


def faults(text: str, *options: str, **environ: str) -> list[str]:
    """The faults of `text`, one a string; the demo upstream comes after it."""
    with pytest.raises(SettingsError) as caught:
        take(text, *options, **environ)
    lines = str(caught.value).split("\n")
    assert lines == [str(problem) for problem in caught.value.problems]
    return lines


def fault(text: str, *options: str, **environ: str) -> str:
    (line,) = faults(text, *options, **environ)
    return line


def test_an_empty_file_but_for_an_upstream_has_every_default() -> None:
    settings = take()
    assert (settings.server.host, settings.server.port, settings.server.max_body_bytes) == (
        "127.0.0.1",
        8082,
        64 * 1024 * 1024,
    )
    assert structs.astuple(settings.timeouts) == (5, 300, 300, 600, 3600)
    assert settings.pool.max_connections == settings.pool.per_upstream == 1000
    assert (settings.pool.keepalive_connections, settings.pool.pools, settings.pool.keepalive_expiry) == (
        15,
        20,
        30,
    )
    assert settings.clients == () and settings.models == () and dict(settings.aliases.map_json) == {}
    demo = settings.upstreams["demo"]
    assert demo.enabled and demo.is_demo and demo.count_tokens and demo.timeouts == settings.timeouts


def test_settings_cannot_be_changed() -> None:
    settings = take("[aliases]\nmap_json = {}")
    with pytest.raises(AttributeError):
        settings.server.port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.upstreams["x"] = settings.upstreams["demo"]  # type: ignore[index]
    with pytest.raises(TypeError):
        settings.aliases.map_json["x"] = "y"  # type: ignore[index]


def test_the_issue_of_a_misspelt_key_is_told_to_the_letter() -> None:
    assert (
        fault("\n" * 10 + "[server]\nprot = 1") == "settings.ini:12: [server] prot: unknown key; did you mean 'port'?"
    )


def test_every_fault_is_told_at_once_in_file_order() -> None:
    text = (
        "stray = 1\n"  # 1
        "[server]\n"  # 2
        "port = 12abc\n"  # 3
        "port = 80\n"  # 4
        "nonsense\n"  # 5
        "idle_timeout = ${NOT_THERE}\n"  # 6
        "[sever]\n"  # 7
        "port = 80\n"  # 8
        "[timeouts\n"  # 9
        "conect = 1\n"  # 10
        "[server]\n"  # 11
        "prewarm = yes\n"  # 12
        "[models]\n"  # 13
        "gpt-* = dmo, demo/\n"  # 14
        "[upstream bad]\n"  # 15
        "protocol = mesages\n"  # 16
    )
    assert faults(text, "pool.htp2=true") == [
        "settings.ini:1: this key comes before the first [section]",
        "settings.ini:3: [server] port: '12abc' is not a whole number from 0 to 65535",
        "settings.ini:4: [server] port: this key is given twice, first on line 3",
        "settings.ini:5: [server] this line has no '='; write key = value (a line that continues a value must be "
        "indented)",
        "settings.ini:6: [server] idle_timeout: the environment variable NOT_THERE is not set, and "
        "${NOT_THERE} has no default",
        "settings.ini:7: [sever] unknown section; did you mean 'server'?",
        "settings.ini:9: this is not a section header; write [name] alone on its line",
        "settings.ini:11: [server] this section is given twice, first on line 2",
        "settings.ini:12: [server] prewarm: unknown key; it belongs to [pool]",
        "settings.ini:14: [models] gpt-*: there is no upstream 'dmo'; did you mean 'demo'?",
        "settings.ini:14: [models] gpt-*: 'demo/' is not UPSTREAM/MODEL",
        "settings.ini:15: [upstream bad] base_url: is missing; it must be a URL such as https://api.example.com "
        "or http://127.0.0.1:11434/v1, or demo:",
        "settings.ini:16: [upstream bad] protocol: 'mesages' is not one or several of messages, chat, "
        "responses, gemini, separated by commas",
        "--set: [pool] htp2: unknown key; did you mean 'http2'?",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nhost = local\0host", "this is no text: it holds a NUL"),
        ("[server]\nport = 65536", "'65536' is not a whole number from 0 to 65535"),
        ("[server]\nport = -1", "'-1' is not a whole"),
        ("[server]\nport = 1_000", "'1_000' is not a whole"),
        ("[server]\nport = ٣", "is not a whole"),
        ("[server]\nport = 8082 # mine", "a comment must have a line of its own"),
        ("[logging]\ndir = logs  # mine", "there is no logs  # mine; a comment must have a line of its own"),
        ("[shared]\nurl = unix:///run/r.sock # mine", "a comment must have a line of its own"),
        ("[server]\nport = '8082'", "has quotes around it; write values without quotes"),
        ("[server]\nport =", "is empty, not a whole number"),
        (
            "[server]\nport = 80\n  host = x",
            "has several lines; an indented line belongs to the key above",
        ),
        ("[server]\nhost = *", "0.0.0.0 (IPv4)"),
        ("[server]\nhost = 127.0.0.1:80", "'127.0.0.1:80' is not an address or host name without a port"),
        ("[server]\nhost = 127.0.0.300", "'127.0.0.300' is not an address"),
        ("[server]\nping_seconds = 0", "is not seconds from 0.1 to 3600, such as 30 or 1.5"),
        ("[timeouts]\nidle = 5s", "'5s' is not seconds"),
        ("[timeouts]\nidle = nan", "'nan' is not seconds"),
        ("[timeouts]\nidle = 1e3", "'1e3' is not seconds"),
        ("[pool]\nhttp2 = maybe", "'maybe' is not true or false (or yes/no, on/off, 1/0)"),
        ("[pool]\nproxy = 10.0.0.1:3128", "does not begin with http:// or"),
        ("[logging]\nlevel = loud", "'loud' is not one of debug, info, warning, error"),
        ("[logging]\ngatway = debug", "unknown key; did you mean 'gateway'?"),
        ("[aliases]\nmap_json = {'a': 'b'}", "is not JSON: "),
        ('[aliases]\nmap_json = ["a"]', "is not a JSON object such as"),
        ('[aliases]\nmap_json = {"a": 1}', "is not a JSON object such as"),
        ("[aliases]\nbig_model = a b", "'a b' is not MODEL or UPSTREAM/MODEL, or empty"),
        ("[Server]\nport = 1", "unknown section; did you mean 'server'?"),
        ("[upstreams x]\n", "unknown section; did you mean 'upstream'?"),
        ("[DEFAULT]\nport = 1", "[DEFAULT] unknown section"),
        ("[upstream]\n", "the section has no name; write [upstream NAME]"),
        ("[client a/b]\nkey = 0123456789abcdef", "the section may have only letters"),
        ("[client me]\n", "key: is missing; it must be a key of 16 or more characters"),
        ("[client me]\nkey = short", "has 5 characters, fewer than 16"),
        ("[client me]\nkey = 0123456789 abcdef", "has a blank"),
        ("[models]\nx =", "the name of an upstream is missing"),
        ("[models]\nx = demo,", "the name of an upstream is missing"),
        ("[models]\nx = demo # local", "did you mean 'demo'?; a comment must have a line of its own"),
        ("[prices]\nm = 1, 2 # USD", "written to the cache; a comment must have a line of its own"),
        (
            "[upstream x]\nprotocol = chat\nbase_url = http://x\napi_key = sk-0 ; mine",
            "no key may have; a comment must have a line of its own",
        ),
        (
            "[upstream x]\nprotocol = chat\nbase_url = http://x # here",
            "no URL may have; a comment must have a line of its own",
        ),
        (
            "[upstream x]\nprotocol = chat\nbase_url = http://x\napi_key = $OPENAI_API_KEY",
            "environment variable, which is written ${NAME} here",
        ),
        (
            "[upstream x]\nprotocol = chat\nbase_url = http://x\napi_key = os.environ/OPENAI_API_KEY",
            "which is written ${NAME} here",
        ),
        (
            "[upstream x]\nprotocol = chat\nbase_url = http://x\nkeys = sk-0, %OPENAI_API_KEY%",
            "which is written ${NAME} here",
        ),
        (
            "[upstream x]\nprotocol = chat\nbase_url = http://x\napi_key = {env:OPENAI_API_KEY}",
            "which is written ${NAME} here",
        ),
        ("[client me]\nkey = $(PROXY_CLIENT_KEY)", "which is written ${NAME} here"),
        ("[models]\nx = demo/a b", "'demo/a b' is not UPSTREAM/MODEL"),
        ("[models]\n= demo", "no key before '='"),
    ],
)
def test_a_bad_value_is_told_with_what_is_expected(text: str, message: str) -> None:
    assert message in fault(text)


@pytest.mark.parametrize("key", ["$a$B", "sk-$NAME", "$lower", "100%", "%aB%", "p{a}", "envoy-key", "$A-b"])
def test_a_key_may_have_such_marks_in_it(key: str) -> None:
    assert read(f"[upstream x]\nprotocol = chat\nbase_url = http://x\napi_key = {key}\n").upstreams["x"].api_key == key


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("ftp://x", "does not begin with http:// or https://"),
        ("api.openai.com", "does not begin with http:// or https://"),
        ("https://", "has no host"),
        ("https://x:99999", "has a host or port that is not valid"),
        ("https://[::1", "has a host or port that is not valid"),
        ("https://x?api-version=1", "has a '?...'"),
        ("https://x/#a", "has a '?...' or '#...'"),
        ("https://me:pass@x", "has a user name or password"),
        ("https://me@x", "has a user name or password"),
        ("https://x /v1", "has a blank"),
        ("https://x/v1/chat/completions", "ends in /chat/completions; leave that out"),
        ("https://x/v1/messages/", "ends in /messages; leave that out"),
        ("", "is empty, not a URL"),
    ],
)
def test_a_bad_base_url_is_told(base_url: str, message: str) -> None:
    line = fault(f"[upstream x]\nprotocol = chat\nbase_url = {base_url}")
    assert line.startswith("settings.ini:3: [upstream x] base_url: ") and message in line


def test_no_upstream_at_all_is_a_fault() -> None:
    with pytest.raises(SettingsError, match=r"there is no \[upstream NAME\] section"):
        read("[server]\nport = 1")


def test_values_are_read_by_their_kind() -> None:
    settings = take(
        "[server]\nhost = [::1]\nidle_timeout = 1.5\n[pool]\nhttp2 = On\nmax_connections_per_upstream = 7\n"
        "[logging]\nlevel = WARNING\naccess = debug\n"
        '[aliases]\nmap_json = {"a": "demo/b",\n   "c": "d"}\nsmall_model = demo\n'
    )
    assert (settings.server.host, settings.server.idle_timeout) == ("::1", 1.5)
    assert settings.pool.http2 is True and settings.pool.per_upstream == 7
    assert dict(settings.aliases.map_json) == {"a": "demo/b", "c": "d"} and settings.aliases.small_model == "demo"
    levels = [settings.logging.level_of(name) for name in ("proxy", "access", "anything")]
    assert levels == [30, 10, 30]


def test_debug_raises_the_general_level_only() -> None:
    settings = take("[logging]\nlevel = error\nupstream = warning\ndebug = ${DEBUG:false}", DEBUG="1")
    assert [settings.logging.level_of(name) for name in ("proxy", "upstream")] == [10, 30]


def test_models_keep_their_order_case_colons_and_slashes() -> None:
    settings = take("[models]\nllama3:8b = demo\nGPT-* = demo/a/b, demo ,demo/c:d\no[0-9]* = ${TO:demo}", TO="demo/q")
    assert settings.models == (
        ModelRule("llama3:8b", (TargetRef("demo", None),), 2),
        ModelRule("GPT-*", (TargetRef("demo", "a/b"), TargetRef("demo", None, 1), TargetRef("demo", "c:d", 2)), 3),
        ModelRule("o[0-9]*", (TargetRef("demo", "q"),), 4),
    )


def test_a_target_that_is_switched_off_is_no_fault() -> None:
    settings = take("[upstream x]\nprotocol = chat\nbase_url = http://x\nenabled = false\n[models]\na = x")
    assert settings.models[0].targets[0].upstream == "x" and not settings.upstreams["x"].enabled


def test_options_overrule_the_file_and_make_sections() -> None:
    settings = take(
        "[server]\nport = 1",
        "server.port=2",
        "models.gpt-4.1=demo/x=y",
        "upstream.my.own.protocol=chat",
        "upstream.my.own.base_url = http://h:1/v1",
        "upstream demo.max_tokens=${N:5}",
        "server.port=3",
    )
    assert settings.server.port == 3
    assert settings.models == (ModelRule("gpt-4.1", (TargetRef("demo", "x=y"),), 0),)
    assert settings.upstreams["my.own"].url("models") == "http://h:1/v1/models"
    assert settings.upstreams["demo"].most_tokens("any") == 5


@pytest.mark.parametrize("option", ["", "port=1", "server.port", "server.=1", "upstream.x=1", "=", "..=.."])
def test_an_option_of_another_form_is_told(option: str) -> None:
    assert fault("", option).startswith("--set: ")


def test_own_timeouts_are_laid_over_the_general_ones() -> None:
    settings = take("[timeouts]\nidle = 7\nstream = 9\n", "upstream.demo.stream=0", "upstream.demo.first_byte=2.5")
    assert structs.astuple(settings.upstreams["demo"].timeouts) == (5, 2.5, 7, 600, 0)


def test_as_shipped_no_honest_answer_is_cut() -> None:
    """Models pause for minutes, Codex waits 300 s for a byte and SDKs 600 s for an answer; streams go on longer."""
    timeouts = load(environ={}).timeouts
    assert min(timeouts.first_byte, timeouts.idle) >= 300 and timeouts.request >= 600
    assert timeouts.stream > timeouts.request


def test_only_a_stream_has_a_time_for_its_first_byte() -> None:
    timeouts = take("[timeouts]\nfirst_byte = 3\nrequest = 50\nstream = 70").timeouts
    assert (timeouts.until_first_byte(stream=True), timeouts.total(stream=True)) == (3, 70)
    assert (timeouts.until_first_byte(stream=False), timeouts.total(stream=False)) == (50, 50)
    assert take("[timeouts]\nfirst_byte = 0\nstream = 70").timeouts.until_first_byte(stream=True) == 70


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_other_machines_need_a_client_section(host: str) -> None:
    line = fault(f"[server]\nhost = {host}")
    assert line.startswith(f"settings.ini:2: [server] host: other machines can reach {host}") and "[client me]" in line
    assert fault("", f"server.host={host}").startswith("--set: [server] host: ")
    assert take(f"[server]\nhost = {host}\n[client me]\nkey = 0123456789abcdef").clients[0].name == "me"


def test_loopback_is_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "127.0.0.1.nip.io"]))


def test_two_clients_may_not_share_a_key() -> None:
    line = fault("[client a]\nkey = 0123456789abcdef\n[client b]\nkey = 0123456789abcdef")
    assert line == "settings.ini:4: [client b] key: is the same as the key of [client a]; each client needs its own"


@pytest.mark.parametrize("said", ["tomorrow", "2026-13-01", "2026-12-01T00:00", "01.12.2026"])
def test_what_is_no_day_is_told_how_one_is_written(said: str) -> None:
    line = fault(f"[client a]\nkey = 0123456789abcdef\nexpires = {said}")
    assert line == f"settings.ini:3: [client a] expires: '{said}' is not a day as YYYY-MM-DD, or empty"


def test_describe_tells_where_each_value_came_from() -> None:
    settings = take(
        "[server]\nhost = ${HOST:127.0.0.1}\nport = ${PORT:${OTHER:8082}}\nmax_body_mb = 1",
        "server.idle_timeout=9",
        "server.body_timeout=${BODY:1}",
        PORT="99",
        HOST="",
        BODY="8",
    )
    lines = [" ".join(line.split()) for line in settings.describe()]
    lines = [line for line in lines if not line.startswith(("tls_", "user", "socket_mode"))]
    assert lines[:8] == [
        "[server]",
        "host = 127.0.0.1 # settings.ini:2, default: HOST not set",
        "port = 99 # settings.ini:3, environment PORT",
        "workers = 1 # default",
        "max_body_mb = 1 # settings.ini:4",
        "max_connections = 2000 # default",
        "idle_timeout = 9 # --set",
        "body_timeout = 8 # --set, environment BODY",
    ]
    assert "[upstream demo]" in lines


def test_equal_values_are_equal_settings_wherever_they_came_from() -> None:
    assert take("\n[server]\nport = 5") == take("", "server.port=5") != take("", "server.port=6")


FRAGMENTS = st.sampled_from(
    [
        *(
            "[server]",
            "[upstream x]",
            "[models]",
            "[",
            "]",
            "port",
            " = ",
            "=",
            "  ",
            "# c",
            ";",
            "demo",
            "1",
        ),
        *("${A}", "${A:", "}", "$${", "base_url = http://x\n", "protocol = chat\n"),
        *("\n", "\n\n", "\x0c", "\u2028", "\x1f", "\r"),
    ]
)


@given(st.one_of(st.lists(FRAGMENTS, max_size=30).map("".join), st.text(max_size=80)))
def test_any_text_gives_settings_or_faults_with_lines_of_it(text: str) -> None:
    environ: Mapping[str, Any] = {"A": "7"}
    try:
        read(text, environ=environ)
    except SettingsError as error:
        assert error.problems
        assert all(0 <= problem.line <= text.count("\n") + 1 for problem in error.problems)
