"""TLS on the side of clients: real sockets, the official SDKs, renewed certificates, and what is wrong with files."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from console import launch, stats
from gateway.process import reload
from gateway.process.banner import banner
from gateway.routing.router import Router
from operate import tls
from operate.settings import load
from tests.gateway.websocket.test_arriving import UPGRADE
from tests.support.house import Client, Cut, House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from tests.support.sdk import anthropic_client, openai_client
from tests.support.waiting import until
from tests.test_proxy import DEMO, run, started
from tests.upstream.scripted import CERTIFICATE, KEY

PATH = "/v1/chat/completions"
ASKED: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A certificate for localhost with its key."""
    file = tmp_path / "own.pem"
    file.write_text(CERTIFICATE + KEY)
    return file


def made(folder: Path, name: str, names: str = "DNS:localhost,IP:127.0.0.1") -> Path:
    """Another one, made now."""
    file = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}", "-keyout", str(file), "-out", "-"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    file.write_text(done.stdout + file.read_text())
    return file


def settings_of(cert: Path, more: str = "") -> str:
    return DEMO.replace("port = 0", f"port = 0\ntls_cert = {cert}\n{more}")


def trusting(cert: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(cert))


def shown(house: House) -> bytes | None:
    """The certificate that a new connection sees."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", house.port), 5) as raw, context.wrap_socket(raw) as secure:
        return secure.getpeercert(binary_form=True)


def test_the_official_clients(pem: Path) -> None:
    with House(settings_of(pem)) as house:
        with anthropic_client(house.url, http_client=httpx2.Client(verify=trusting(pem))) as client:
            message = client.messages.create(max_tokens=50, **ASKED)
            assert "demo" in message.content[0].text  # type: ignore[union-attr]
            with client.messages.stream(max_tokens=50, **ASKED) as stream:
                assert stream.get_final_message().stop_reason == "end_turn"
        with openai_client(house.url, http_client=httpx2.Client(verify=trusting(pem))) as other:
            assert "demo" in str(other.chat.completions.create(**ASKED).choices[0].message.content)
            assert [chunk.id for chunk in other.chat.completions.create(stream=True, **ASKED)]
            assert other.responses.create(model="demo", input="hello").status == "completed"


def test_what_is_spoken(pem: Path) -> None:
    context = trusting(pem)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with House(settings_of(pem)) as house, house.connect(context) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1" and client.socket.version() == "TLSv1.3"
        old = trusting(pem)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", house.port), 5) as raw:
            old.wrap_socket(raw, server_hostname="localhost")


def test_plain_http_is_told_so_in_words(pem: Path) -> None:
    with House(settings_of(pem)) as house:
        with Client(house.port) as client:
            client.send("POST", PATH, ASKED)
            status, _, body = client.reply()
        assert status == 400 and b"https://" in body
        with house.connect(trusting(pem)) as good:
            good.send("POST", PATH, ASKED)
            assert good.reply()[0] == 200


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\xff\xff" + bytes(600), b"SSH-2.0-x\r\n", b"\0" * 9])
def test_what_is_no_tls_ends_its_own_connection_alone(pem: Path, junk: bytes) -> None:
    with House(settings_of(pem)) as house, house.connect(trusting(pem)) as good:
        with socket.create_connection(("127.0.0.1", house.port), 5) as raw:
            with contextlib.suppress(OSError):  # it may be closed, or reset, at any moment
                raw.sendall(junk)
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    continue
        with house.connect(trusting(pem)) as broken:
            socket.socket.sendall(broken.socket, junk)  # past its own encryption
            with pytest.raises((Cut, OSError)):
                broken.head()
        good.send("POST", PATH, ASKED)
        assert good.reply()[0] == 200


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01", b"\x05\x01\x00", b"\x00"], ids=["tls", "socks", "zero"])
def test_what_is_no_http_is_not_waited_for(junk: bytes) -> None:
    """The end of a head would never come: clients hung until their own time-out."""
    with House(DEMO) as house, house.connect() as client:
        client.socket.sendall(junk)
        status, _, said = client.reply()
        assert status == 400 and (b"begins with http://" in said) == junk.startswith(b"\x16")


def test_https_to_a_port_that_speaks_http() -> None:
    with House(DEMO) as house:
        address = house.url.replace("http://", "https://")
        with anthropic.Anthropic(base_url=address, api_key="k", max_retries=0) as client:
            with pytest.raises(anthropic.APIConnectionError) as failed:
                client.models.list()
    assert "WRONG_VERSION_NUMBER" in str(failed.value.__cause__)


def test_a_handshake_that_does_not_end_is_ended(pem: Path) -> None:
    with House(settings_of(pem, "idle_timeout = 1")) as house:
        with socket.create_connection(("127.0.0.1", house.port), 5) as raw:
            raw.sendall(b"\x16\x03\x01")
            assert raw.recv(1) == b""


def test_who_shows_no_certificate_is_not_served(pem: Path, tmp_path: Path) -> None:
    own = made(tmp_path, "client")
    with House(settings_of(pem, f"tls_client_ca = {own}")) as house:
        with pytest.raises((OSError, Cut)), house.connect(trusting(pem)) as stranger:
            stranger.send("POST", PATH, ASKED)
            stranger.reply()
        known = trusting(pem)
        known.load_cert_chain(own)
        with house.connect(known) as client:
            client.send("POST", PATH, ASKED)
            assert client.reply()[0] == 200
        wrong = trusting(pem)
        wrong.load_cert_chain(pem)
        with pytest.raises((OSError, Cut)), house.connect(wrong) as stranger:
            stranger.send("POST", PATH, ASKED)
            stranger.reply()


def test_an_answer_to_a_body_that_still_comes_is_read(pem: Path) -> None:
    with House(settings_of(pem, "max_body_mb = 1")) as house, house.connect(trusting(pem)) as client:
        client.send("POST", PATH, b"x" * (3 << 20))
        assert client.reply()[0] == 413


@pytest.mark.parametrize(("head", "status"), [(b"X-A: " + b"a" * 300_000, 431), (b"X-A: 1\n\r\n", 400)])
def test_a_head_that_is_refused_is_answered(pem: Path, head: bytes, status: int) -> None:
    with House(settings_of(pem)) as house, house.connect(trusting(pem)) as client:
        client.socket.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n" + head)
        assert client.reply()[0] == status


def test_a_key_that_is_misspelt_is_named() -> None:
    with pytest.raises(load.SettingsError, match="tls_password"):
        load.read("[server]\ntls_password = x\n", "test.ini", [], {})


def test_websockets_open_over_tls(pem: Path) -> None:
    with House(settings_of(pem)) as house, house.connect(trusting(pem)) as client:
        client.socket.sendall(UPGRADE)
        assert client.head()[0] == 101


def test_clients_that_leave_without_a_word_end_no_other_connection(pem: Path) -> None:
    """OpenSSL's errors are the thread's: what one connection leaves there is not the next one's."""
    gate = Gate()
    with Upstream([Answer.sse([BEGUN, gate, DONE])]) as up:
        settings = one_upstream(up.url, "chat", server=f"tls_cert = {pem}")
        with House(settings) as house, house.connect(trusting(pem)) as client:
            client.send("POST", PATH, ASKED | {"stream": True})
            assert client.head()[0] == 200
            for _ in range(3):
                shown(house)
            gate.open()
            assert client.body().endswith(DONE)
            client.send("GET", "/healthz")
            assert client.reply()[0] == 200


# -------------------------------------------------------------------------------------------------- renewals


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "EVERY_S", 0.02)
    monkeypatch.setattr(reload, "SETTLE_S", 0.01)


def verdict_on(house: House, file: Path, text: str) -> dict[str, Any]:
    """Puts the text into the file, all of it at once, and gives the proxy's verdict."""
    before = house.on_loop(lambda: house.proxy.service.reloaded)
    (file.parent / "next").write_text(text)
    (file.parent / "next").replace(file)
    house.wait(lambda p: p.service.reloaded is not before)
    found: dict[str, Any] = house.on_loop(lambda: house.proxy.service.reloaded)
    return found


@pytest.mark.usefixtures("often")
def test_a_renewed_certificate_counts_and_nothing_ends(pem: Path, tmp_path: Path) -> None:
    gate = Gate()
    other = made(tmp_path, "other").read_text()
    with Upstream([Answer.sse([BEGUN, gate, DONE])]) as up:
        text = one_upstream(up.url, "chat", server=f"tls_cert = {pem}")
        with House(text, file=tmp_path / "s.ini") as house, house.connect(trusting(pem)) as client:
            client.send("POST", PATH, ASKED | {"stream": True})
            assert client.head()[0] == 200
            before = shown(house)
            assert verdict_on(house, pem, other)["taken"]
            after = shown(house)
            gate.open()
            assert client.body().endswith(DONE)
            client.send("GET", "/healthz")
            assert client.reply()[0] == 200
    assert before == ssl.PEM_cert_to_DER_cert(CERTIFICATE)
    assert after == ssl.PEM_cert_to_DER_cert(other[: other.index("-----BEGIN PRIVATE")])


@pytest.mark.usefixtures("often")
def test_one_that_is_broken_changes_nothing_until_it_is_whole(pem: Path, tmp_path: Path) -> None:
    other = made(tmp_path, "other").read_text()
    at = other.index("-----BEGIN PRIVATE")
    with House(settings_of(pem), file=tmp_path / "s.ini") as house:
        before = shown(house)
        verdict = verdict_on(house, pem, other[:at])
        assert not verdict["taken"] and "tls_cert" in verdict["why"][0] and shown(house) == before
        assert verdict_on(house, pem, other)["taken"]
        assert shown(house) != before


@pytest.mark.usefixtures("often")
def test_a_running_proxy_begins_to_speak_tls_and_ends(pem: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    with House(DEMO, file=file) as house, house.connect() as plain:
        assert verdict_on(house, file, settings_of(pem))["taken"]
        plain.send("POST", PATH, ASKED)
        assert plain.reply()[0] == 200
        with house.connect(trusting(pem)) as client:
            client.send("POST", PATH, ASKED)
            assert client.reply()[0] == 200
        verdict_on(house, file, DEMO)
        assert house.post(PATH, ASKED)[0] == 200


def test_workers_read_a_renewed_one_too(pem: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text(settings_of(pem, "workers = 2"))
    with started("--config", str(file), "--set", f"logging.dir={tmp_path / 'logs'}") as (process, url, said):
        assert url.startswith(("https://localhost:", "https://127.0.0.1:"))
        assert f"ANTHROPIC_BASE_URL={url} " in said and f"{url}/dashboard" in said
        with urllib.request.urlopen(url + "/healthz", context=trusting(pem), timeout=10) as reply:
            assert reply.status == 200
        other = made(tmp_path, "other")
        pem.write_text(other.read_text())

        def all_show_it() -> bool:
            """Eight, one after the other, of whichever worker."""
            with contextlib.suppress(OSError):
                for _ in range(8):
                    urllib.request.urlopen(url + "/healthz", context=trusting(other), timeout=10).close()
                return True
            return False

        until(all_show_it, every_s=0.1)
        process.terminate()
        assert process.wait(15) == 0


# --------------------------------------------------------------------------------------------------- files


def test_what_is_wrong_with_files_is_named_with_its_key(pem: Path, tmp_path: Path) -> None:
    other, locked, empty = made(tmp_path, "other"), tmp_path / "locked.pem", tmp_path / "empty.pem"
    (tmp_path / "cert.pem").write_text(CERTIFICATE)
    (tmp_path / "key.pem").write_text(KEY)
    empty.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    command = ["openssl", "pkcs8", "-topk8", "-in", str(tmp_path / "key.pem"), "-out", str(locked), "-v2", "aes256"]
    subprocess.run([*command, "-passout", "pass:opensesame"], check=True, capture_output=True)

    def faults(**keys: object) -> str:
        lines = "\n".join(f"{key} = {value}" for key, value in keys.items())
        try:
            load.read(DEMO.replace("port = 0", f"port = 0\n{lines}"), "s.ini", environ={})
        except load.SettingsError as why:
            return str(why)
        return ""

    cert = tmp_path / "cert.pem"
    assert faults(tls_cert=cert, tls_key=tmp_path / "key.pem") == "" == faults(tls_cert=pem)
    assert "tls_cert: cannot read" in faults(tls_cert=tmp_path / "none.pem")
    assert "tls_cert: " in (said := faults(tls_cert=empty)) and "no valid certificate" in said
    assert "tls_cert: " in (said := faults(tls_cert=cert)) and "has no valid key" in said
    assert "tls_key: " in (said := faults(tls_cert=cert, tls_key=other)) and "is not the key of" in said
    assert "tls_key: " in (said := faults(tls_cert=cert, tls_key=locked)) and "tls_key_password is needed" in said
    said = faults(tls_cert=cert, tls_key=locked, tls_key_password="closesesame")
    assert "tls_key_password is wrong" in said and "closesesame" not in said
    assert faults(tls_cert=cert, tls_key=locked, tls_key_password="opensesame") == ""
    assert "tls_key: has no effect without tls_cert" in faults(tls_key=other)
    assert "tls_client_ca: " in faults(tls_cert=pem, tls_client_ca=empty)


def test_check_config_and_print_config(pem: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text(settings_of(pem, "tls_key_password = opensesame"))
    done = run("--config", str(file), "--print-config")
    assert done.returncode == 0 and "tls_cert" in done.stdout and "opensesame" not in done.stdout
    pem.write_text(CERTIFICATE)
    done = run("--config", str(file), "--check-config")
    assert done.returncode == 78 and "[server] tls_cert" in done.stderr and "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------- programs that look for it


@pytest.mark.parametrize(
    ("host", "names", "expected"),
    [
        ("127.0.0.1", "DNS:localhost,IP:127.0.0.1", "https://127.0.0.1:8082"),
        ("127.0.0.1", "DNS:llm.example.org,DNS:localhost", "https://localhost:8082"),
        ("0.0.0.0", "DNS:*.example.org,DNS:llm.example.org", "https://llm.example.org:8082"),
        ("10.0.0.1", "DNS:*.example.org", "https://10.0.0.1:8082"),
        ("::1", "DNS:x.example", "https://x.example:8082"),
    ],
)
def test_by_which_name_it_is_found(tmp_path: Path, host: str, names: str, expected: str) -> None:
    cert = made(tmp_path, "some", names)
    text = settings_of(cert, f"host = {host}") + "[client me]\nkey = client-key-0123456789\n"
    chosen = load.read(text, "s.ini", ["server.port=8082"], {})
    assert tls.own_url(chosen.server) == expected
    assert f"listens on {expected}" in banner(chosen, Router(chosen), 8082, "1")


def test_launched_clients_trust_it(pem: Path) -> None:
    with House(settings_of(pem)) as house:
        server = load.read(settings_of(pem), "s.ini", [f"server.port={house.port}"], {}).server
        proxy = launch.Proxy(tls.own_url(server), "any-key", server=server)
        assert proxy.answers() and proxy.names()
        _, environment = launch.for_claude(proxy, [], {})
        assert environment["NODE_EXTRA_CA_CERTS"] == str(pem) and environment["ANTHROPIC_BASE_URL"].startswith("https:")
        _, environment = launch.for_codex(proxy, [], {"CODEX_CA_CERTIFICATE": "/mine.pem"})
        assert environment["CODEX_CA_CERTIFICATE"] == "/mine.pem"


def test_stats_asks_over_tls(pem: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "s.ini"
    with House(settings_of(pem)) as house:
        file.write_text(settings_of(pem))
        assert stats.main(["--once", "--config", str(file), "--set", f"server.port={house.port}"]) == 0
    assert "demo" in capsys.readouterr().out


def test_a_client_that_must_show_a_certificate_is_started_by_hand(pem: Path) -> None:
    chosen = load.read(settings_of(pem, f"tls_client_ca = {pem}"), "s.ini", environ={})
    with pytest.raises(launch.Unreachable, match="tls_client_ca"):
        launch.described(chosen, {})
