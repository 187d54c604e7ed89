"""Tokens of Google's accounts: asked for at the token endpoint, through the proxy's own client, and used as Bearer."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.gateway.credentials.test_requests import ASK, REPLY
from tests.support.house import ONCE, House
from tests.support.script import Answer, Request, Upstream

pytest.importorskip("google.oauth2", reason="not installed: google-auth (pip install -r extras/google.txt)")
rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")

TOKEN = "ya29.Token0123456789abcdef"


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text: bytes = made.private_bytes(serialization.Encoding.PEM, *form)
    return text.decode()


def account(folder: Path, said: dict[str, Any]) -> str:
    (folder / "account.json").write_text(json.dumps(said))
    return "account.json"


def service_account(url: str, key: str) -> dict[str, Any]:
    return {"type": "service_account", "client_email": "proxy@p.test", "private_key": key, "private_key_id": "1",
            "token_uri": f"{url}/token", "project_id": "p"}  # fmt: skip


def settings(up: Upstream, file: str) -> str:
    return (
        f"[upstream up]\nprotocol = messages\nbase_url = {up.url}\nkey_header = authorization\n"
        f"api_key = google:{file}\nkey_timeout = 5\n[models]\n* = up\n{ONCE}"
    )


def answers(request: Request) -> Answer:
    if request.path == "/token":
        return Answer.json({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})
    return Answer.json(REPLY)


def test_a_service_account_signs_for_its_token(tmp_path: Path, key: str) -> None:
    with Upstream(answers) as up:
        file = tmp_path / account(tmp_path, service_account(up.url, key))
        with House(settings(up, str(file))) as house:
            assert [house.post("/v1/messages", ASK)[0] for _ in range(2)] == [200, 200]
    token, first, second = up.requests
    assert token.path == "/token" and token.headers["content-type"].startswith("application/x-www-form-urlencoded")
    claims = parse_qs(token.body.decode())["assertion"][0].split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert said["iss"] == "proxy@p.test" and "https://www.googleapis.com/auth/cloud-platform" in said["scope"]
    assert {first.headers["authorization"], second.headers["authorization"]} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "said",
    [{"type": "external_account", "credential_source": {"file": "x"}}, {}, {"type": "service_account"}],
)
def test_other_files_give_no_token(tmp_path: Path, said: dict[str, Any]) -> None:
    with Upstream(answers) as up:
        with House(settings(up, str(tmp_path / account(tmp_path, said)))) as house:
            status, _, raw = house.post("/v1/messages", ASK)
    assert status == 503 and "its Google account gives no token" in raw.decode() and not up.requests


def test_a_token_endpoint_that_refuses(tmp_path: Path, key: str) -> None:
    with Upstream([Answer.json({"error": "invalid_grant", "error_description": "Invalid JWT"}, 400)]) as up:
        file = tmp_path / account(tmp_path, service_account(up.url, key))
        with House(settings(up, str(file))) as house:
            status, _, raw = house.post("/v1/messages", ASK)
    assert status == 503 and "its Google account gives no token" in raw.decode() and len(up.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"<html>Sign in to the network</html>", b"", b"[]", b"null", b'"token"', b'{"access_token": null}',
     b'{"access_token": "ya29.x", "expires_in": 1e400}'],
)  # fmt: skip
def test_an_answer_without_a_token(tmp_path: Path, key: str, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A 200 of a network that wants a login first; google-auth fails at these in ways of its own."""
    with Upstream(lambda request: Answer(200, {"Content-Type": "text/html"}, body)) as up:
        file = tmp_path / account(tmp_path, service_account(up.url, key))
        with House(settings(up, str(file))) as house:
            status, _, raw = house.post("/v1/messages", ASK)
    assert status == 503 and "its Google account gives no token" in raw.decode()
    assert {request.path for request in up.requests} == {"/token"}
    assert "no key from" in caplog.text and "Traceback" not in caplog.text
