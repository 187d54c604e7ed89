"""By which way upstreams are reached, and clients reach us: proxies, private CAs, client certificates, families."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from operate import listening
from operate.settings import load
from operate.settings.load import SettingsError
from tests.support.house import Client, House, one_upstream
from tests.support.script import Answer, Upstream
from tests.upstream.scripted import CERTIFICATE, KEY

PATH = "/v1/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def said(text: str) -> dict[str, object]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "choices": [choice]}


class Secure:
    """An upstream behind TLS, that may want to see a certificate of the client's."""

    def __init__(self, folder: Path, mutual: bool) -> None:
        self.pem = folder / "server.pem"
        self.pem.write_text(CERTIFICATE + KEY)
        self.ca = folder / "ca.pem"
        self.ca.write_text(CERTIFICATE)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.pem)
        if mutual:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(self.ca)

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """In front of a scripted upstream: TLS is taken off and bytes are copied."""
        answer = Answer.json(said("secure"), end="close")
        with Upstream([answer]) as up, socket.create_server(("127.0.0.1", 0)) as server:
            to = up.url.rpartition(":")[2]
            threading.Thread(target=self._accept, args=(server, int(to)), daemon=True).start()
            yield f"https://127.0.0.1:{server.getsockname()[1]}"

    def _accept(self, server: socket.socket, port: int) -> None:
        with contextlib.suppress(OSError):  # the test is over
            while True:
                threading.Thread(target=self._serve, args=(server.accept()[0], port), daemon=True).start()

    def _serve(self, raw: socket.socket, port: int) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(raw, server_side=True) as tls:
            with socket.create_connection(("127.0.0.1", port)) as up:
                up.sendall(tls.recv(65536))
                while data := up.recv(65536):
                    tls.sendall(data)


def encrypted(folder: Path, password: str) -> Path:
    plain, out = folder / "plain.pem", folder / "client.key"
    plain.write_text(KEY)
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", plain, "-out", out, "-v2", "aes256", "-passout", f"pass:{password}"],
        check=True,
        capture_output=True,
    )
    return out


def test_a_private_ca_and_a_client_certificate(tmp_path: Path) -> None:
    server = Secure(tmp_path, mutual=True)
    (tmp_path / "client.pem").write_text(CERTIFICATE)
    key = encrypted(tmp_path, "open sesame")
    own = f"client_cert = {tmp_path}/client.pem\nclient_key = {key}\nclient_key_password = ${{KEY_PASSWORD}}"
    with server.serving() as url:
        for more, status, words in (
            (f"ca_file = {server.ca}\n{own}", 200, "secure"),
            (f"ca_file = {server.ca}\nclient_cert = {server.pem}", 200, "secure"),  # the key is in it
            (f"ca_file = {server.ca}", 502, ""),  # its alert may be lost with the connection
            ("", 502, "not trusted"),
        ):
            text = one_upstream(url, "chat", more) + "[retry]\nmax_attempts = 1\n"
            with House(text, {"KEY_PASSWORD": "open sesame"}) as house:
                got, _, reply = house.post(PATH, ASKED)
            assert (got, words in reply.decode()) == (status, True), (more, reply)


def test_each_upstream_trusts_its_own_ca(tmp_path: Path) -> None:
    """A CA that is named for one is good for that one alone."""
    server = Secure(tmp_path, mutual=False)
    with server.serving() as one, server.serving() as two:
        text = f"[upstream a]\nprotocol = chat\nbase_url = {one}\nca_file = {server.ca}\n"
        text += f"[upstream b]\nprotocol = chat\nbase_url = {two}\n[retry]\nmax_attempts = 1\n"
        with House(text) as house:
            for _ in range(2):
                assert house.post(PATH, ASKED | {"model": "a/m"})[0] == 200
                assert b"not trusted" in house.post(PATH, ASKED | {"model": "b/m"})[2]
        with House(text + f"[pool]\nca_file = {server.ca}\n") as house:
            assert [house.post(PATH, ASKED | {"model": f"{name}/m"})[0] for name in "ab"] == [200, 200]


def test_files_are_looked_at_before_they_are_needed(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for key in ("ca_file", "client_cert", "client_key"):
        for file, words in (("gone.pem", "cannot read"), ("empty.pem", "is not a PEM file")):
            with pytest.raises(SettingsError, match=words):
                load.read(one_upstream("http://a", "chat", f"{key} = {file}"), folder=tmp_path)
    (tmp_path / "good.pem").write_text(CERTIFICATE)
    got = load.read(one_upstream("http://a", "chat", "ca_file = good.pem"), folder=tmp_path)
    assert got.upstreams["up"].ca_file == str(tmp_path / "good.pem")


def test_a_proxy_for_all_one_or_none() -> None:
    """Those on this machine go without, unless their own section says otherwise; the environment has no say."""
    with (
        Upstream([Answer.json(said("direct"))]) as up,
        Upstream([Answer.json(said("by the proxy"))]) as way,
        Upstream([Answer.json(said("by another"))]) as other,
    ):
        text = "".join(
            f"[upstream {name}]\nprotocol = chat\nbase_url = {url}\n{more}\n"
            for name, url, more in (
                ("far", "http://llm.example:1", ""), ("near", up.url, ""), ("near-too", up.url, f"proxy = {way.url}"),
                ("else", "http://llm.example:1", f"proxy = {other.url}"), ("none", up.url, "proxy = none"),
            )
        )  # fmt: skip
        text += f"[pool]\nproxy = {way.url}\n[retry]\nmax_attempts = 1\n"
        wanted = {"far": "by the proxy", "near": "direct", "near-too": "by the proxy", "else": "by another"}
        wanted["none"] = "direct"
        for variable in ("no_proxy", "http_proxy"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(variable, "*" if variable == "no_proxy" else other.url)
                with House(text) as house:
                    for name, words in wanted.items():
                        reply = house.post(PATH, ASKED | {"model": f"{name}/m"})[2]
                        assert words in reply.decode(), (variable, name, reply)


def test_a_proxys_password_is_a_secret() -> None:
    more = "proxy = http://me:first-secret@10.0.0.1:1\nclient_key_password = second-secret"
    text = one_upstream("http://a", "chat", more)
    got = load.read(text)
    assert {"first-secret", "second-secret"} <= set(got.secrets())
    shown = "\n".join(got.describe()) + repr(got)
    assert "first-secret" not in shown and "second-secret" not in shown


# ---- the listening side

CLIENT = "[client me]\nkey = client-key-0123456789\n"
LOCAL = [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", 1), ("127.0.0.1, ::1", 2), ("[::1], 127.0.0.1", 2), ("::", 2), ("0.0.0.0, ::", 2), ("0.0.0.0", 1)],
)
def test_both_families(host: str, reached: int) -> None:
    chosen = load.read(one_upstream("http://a", "chat", server=f"host = {host}\nport = 0") + CLIENT)
    sockets = listening.bound(chosen.server)
    try:
        assert len({each.getsockname()[1] for each in sockets}) == 1
        found = 0
        for address, family in LOCAL:
            with socket.socket(family) as client:
                found += client.connect_ex((address, sockets[0].getsockname()[1])) == 0
        assert found == reached
    finally:
        for each in sockets:
            each.close()


@pytest.mark.parametrize("host", ["127.0.0.1, 0.0.0.0", "::1, ::", "::"])
def test_none_of_several_hosts_may_be_open_to_strangers(host: str) -> None:
    with pytest.raises(SettingsError, match="other machines can reach"):
        load.read(one_upstream("http://a", "chat", server=f"host = {host}"))


def test_with_several_hosts_each_may_be_named() -> None:
    text = one_upstream("http://a", "chat", server="host = 127.0.0.1, ::1, 127.0.0.7\nport = 0")
    hosts = load.read(text).server.hosts
    assert hosts == ("127.0.0.1", "::1", "127.0.0.7")
    with House(text.replace("::1, ", "").replace("127.0.0.1, ", "")) as house, Client(house.port) as client:
        client.send("GET", "/healthz", headers={"Host": f"127.0.0.7:{house.port}"})
        assert client.reply()[0] == 200
