"""What is printed at start: every line that is to be pasted works, or says why it cannot."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.process.banner import banner
from gateway.routing.router import Router
from operate import installation
from operate.settings import load
from tests.upstream.scripted import CERTIFICATE

SHIPPED = (Path(__file__).resolve().parents[3] / "settings.ini").read_text()
KEY = "client-key-0123456789"


def said(text: str = SHIPPED, *options: str, **environ: str) -> str:
    chosen = load.read(text, "settings.ini", options, environ)
    return banner(chosen, Router(chosen), 8082, "1.2.3")


def test_only_the_demo() -> None:
    text = said()
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:8082 ANTHROPIC_AUTH_TOKEN=any-key claude\n" in text
    assert "Only the demo is on" in text and "set ANTHROPIC_API_KEY or" in text
    assert "PROXY_KEY=any-key codex -c model_provider=proxy" in text
    assert not re.search(r"[ \t]$", text, re.MULTILINE)


def test_claudes_names_without_an_upstream() -> None:
    text = said(OPENAI_API_KEY="sk-test")
    assert "claude --model openai/MODEL\n" in text and "*opus*, *sonnet*, *haiku*" in text
    assert "BIG_MODEL=openai/MODEL SMALL_MODEL=openai/MODEL ./run.sh" in text
    text = said(OPENAI_API_KEY="sk-test", BIG_MODEL="gpt-5.1")
    assert "any-key claude\n" in text and "answers for *haiku*," in text and " SMALL_MODEL=openai/MODEL ./" in text
    text = said(OPENAI_API_KEY="sk-test", BIG_MODEL="gpt-5.1", SMALL_MODEL="gpt-5-mini")
    assert "any-key claude\n" in text and "No upstream answers" not in text
    text = said("[upstream x]\nprotocol = chat\nbase_url = http://127.0.0.1:1")
    assert "--set aliases.big_model=x/MODEL --set aliases.small_model=x/MODEL" in text and "BIG_MODEL=" not in text


def test_a_line_that_cannot_work_is_not_there() -> None:
    text = said(SHIPPED, "upstream demo.enabled=false")
    assert "Codex          needs an upstream" in text and "Claude Code    needs an upstream" in text
    assert "No upstream is on" in text and text.count("and none is on") == 2


def test_codex_gets_a_model_that_something_answers_to() -> None:
    text = said(ANTHROPIC_API_KEY="sk-test")
    assert "codex -m anthropic/MODEL -c" in text
    assert "codex -c" in said(OPENAI_API_KEY="sk-test")


def test_whose_key_is_asked_for() -> None:
    text = said(FORWARD_CLIENT_KEY="true")
    assert "ANTHROPIC_API_KEY=YOUR-OWN-KEY claude" in text and "the key of a client is sent" in text
    text = said(SHIPPED, f"client me.key={KEY}", FORWARD_CLIENT_KEY="true")
    assert "ANTHROPIC_AUTH_TOKEN=KEY-OF-A-CLIENT claude" in text and "forward_client_key has no effect" in text
    assert KEY not in text


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8082"), ("::", "http://[::1]:8082"), ("::1", "http://[::1]:8082"),
     ("localhost", "http://localhost:8082")],
)  # fmt: skip
def test_the_url_can_be_pasted_whatever_the_host(host: str, url: str) -> None:
    text = said(SHIPPED, f"server.host={host}", f"client me.key={KEY}")
    assert f"listens on {url}" in text and f'base_url="{url}/v1"' in text
    assert ("every other address" in text) is (host in ("0.0.0.0", "::"))


def test_remarks_on_what_may_be_overlooked() -> None:
    names = '{"a": "nowhere/x", "b": "demo"}'
    text = said(ANTHROPIC_API_KEY="sk-test", MODEL_MAP_JSON=names, ENABLE_RESPONSE_BODY_LOGGING="1")
    assert "'a' means 'nowhere/x', but no upstream that is on answers" in text and "'b' means" not in text
    assert "Response bodies are logged, to logs/requests.json" in text
    assert "sk-test" not in text


AUTO_MODE = "--permission-mode default"


def test_auto_mode_is_told_of_where_nobody_makes_its_checks() -> None:
    assert AUTO_MODE not in said(ANTHROPIC_API_KEY="sk-test")
    assert AUTO_MODE not in said()  # the demo alone
    text = said(OPENAI_API_KEY="sk-test", BIG_MODEL="openai/gpt-5.1")
    assert AUTO_MODE in text and "'openai' cannot do that" in text


def test_conditions_on_classes_name_what_says_them_exactly() -> None:
    hint = "CLAUDE_CODE_GATEWAY_HINT_HEADERS=1"
    assert hint not in said(ANTHROPIC_API_KEY="sk-test")
    line = "models.claude-* if class subagent=anthropic"
    assert hint in said(SHIPPED, line, ANTHROPIC_API_KEY="sk-test")


@pytest.mark.parametrize(
    ("option", "is_told"),
    [
        ("upstream.openai.api_key=sk-0123456789", True),
        ("upstream.openai.api_key=${KEY}", False),
        ("upstream.openai.api_key=none", False),
        ("server.ping_seconds=5", False),
    ],
)
def test_a_key_that_others_can_read_is_told(monkeypatch: pytest.MonkeyPatch, option: str, *, is_told: bool) -> None:
    monkeypatch.setattr("sys.argv", ["proxy.py", "--set", option])
    words = said(SHIPPED, option, KEY="sk-9876543210")
    assert ("A key is on the command line" in words) is is_told and "sk-" not in words.replace("sk-ant", "")


def test_who_is_served_without_clients() -> None:
    alone, pages = "that a reverse proxy forwards are refused", "[server] origins has no effect"
    assert alone in said() and pages not in said()
    assert pages in said(SHIPPED, "server.origins=https://chat.example.org")
    text = said(SHIPPED, f"client me.key={KEY}", "server.origins=https://chat.example.org")
    assert alone not in text and pages not in text


def test_missing_root_certificates_are_told_with_the_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there, absent = tmp_path / "roots.pem", tmp_path / "none.pem"
    there.write_text(CERTIFICATE)
    monkeypatch.setattr("upstream.pool.CA_FILES", (str(absent),))
    monkeypatch.setattr("upstream.pool.ssl.get_default_verify_paths", lambda: SimpleNamespace(openssl_cafile=""))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    text = said(ANTHROPIC_API_KEY="sk-ant-test")
    assert f"SSL_CERT_FILE names {tmp_path}/gone.pem, which is not there" in text
    assert "No root certificates are here, so that no certificate of anthropic can be checked" in text
    assert f"Looked for: {tmp_path}/gone.pem, {absent}." in text
    assert "root certificates" not in said()  # the demo needs none
    assert "root certificates" not in said(SHIPPED, f"pool.ca_file={there}", ANTHROPIC_API_KEY="sk-ant-test")
    monkeypatch.setenv("SSL_CERT_FILE", str(there))
    assert "root certificates" not in said(ANTHROPIC_API_KEY="sk-ant-test")
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setattr("upstream.pool.CA_FILES", (str(absent), str(there)))
    assert "root certificates" not in said(ANTHROPIC_API_KEY="sk-ant-test")


def test_the_folder_of_the_logs_is_told_as_it_is_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative one starts at the proxy's folder, where not everybody starts it: cron and systemd do not."""
    monkeypatch.setattr(installation._Start, "home", tmp_path / "proxy")
    monkeypatch.chdir(tmp_path)
    assert "Logs: proxy/logs/. " in said()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert f"Logs: {tmp_path}/proxy/logs/. " in said()
