"""The keys of clients: several of one client, hashes in place of keys, and the command that makes both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console import key as command
from console import launch, stats
from operate import client_keys
from operate.settings import load
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

PATH = "/v1/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
OK = Answer.json({"id": "x", "choices": [{}]})
PLAIN, OLD, NEW = "plain-key-0123456789", "old-key-0123456789ab", "sk-proxy-3kT9Zx0Qm1VbN7rLw5Yc8HdPe2Uf4GjA6SaKqMnOiXo"
CLIENTS = f"[client a]\nkey = {PLAIN}\n[client b]\nkey = {client_keys.hashed(NEW)}, {OLD}\nadmin = true\n"


def faults(text: str) -> str:
    try:
        load.read(one_upstream("http://127.0.0.1:9", "chat", "") + text, "s.ini", environ={})
    except load.SettingsError as why:
        return str(why)
    return ""


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (PLAIN, 200),
        (NEW, 200),
        (OLD, 200),
        (client_keys.hashed(NEW), 401),  # whoever has read the settings has no key
        (client_keys.hashed(PLAIN), 401),
        (client_keys.digest(NEW).hex(), 401),
        (NEW + "x", 401),
        (NEW.upper(), 401),
        (f"{client_keys.hashed(NEW)}, {OLD}", 401),
        ("", 401),
    ],
)
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_who_comes_in(key: str, status: int, header: str) -> None:
    sent = {header: f"Bearer {key}" if header == "authorization" else key}
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat") + CLIENTS) as house:
        assert house.post(PATH, ASKED, sent)[0] == status
        assert len(up.requests) == (status == 200)


def test_both_keys_are_the_same_client(tmp_path: Path) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat") + CLIENTS, folder=tmp_path) as house:
        for key in (NEW, OLD, PLAIN):
            assert house.post(PATH, ASKED, {"x-api-key": key})[0] == 200
        assert house.get("/debug/upstreams", {"x-api-key": NEW})[0] == 200
        assert house.get("/debug/upstreams", {"x-api-key": PLAIN})[0] == 403
    lines = (tmp_path / "performance.json").read_text().splitlines()
    assert [json.loads(line)["client"] for line in lines] == ["b", "b", "a"]


def test_a_key_of_which_only_the_hash_is_known_is_in_no_log(tmp_path: Path) -> None:
    """Also not where an upstream sends it back, or the client writes it into its prompt."""
    text = one_upstream("", "chat", server="").replace("base_url = ", "base_url = {}") + CLIENTS
    text += "[logging]\nrequest_bodies = all\nresponse_bodies = all\n"
    refusal = Answer.json({"error": {"message": f"no {NEW}", "type": "invalid_request_error"}}, 400)
    with Upstream([refusal]) as up, House(text.format(up.url), folder=tmp_path) as house:
        asked = {"model": "m", "messages": [{"role": "user", "content": f"my key is {NEW}"}]}
        assert house.post(PATH, asked, {"authorization": f"Bearer {NEW}"})[0] == 400
    assert (tmp_path / "requests.json").stat().st_size > 0
    assert not [file.name for file in tmp_path.iterdir() if NEW.encode() in file.read_bytes()]


def test_what_is_wrong_with_keys_is_said_without_them() -> None:
    assert faults(CLIENTS) == ""
    for text in ("sha256:", "sha256:abc", f"sha256:{'g' * 64}", client_keys.hashed(NEW) + "0"):
        said = faults(f"[client a]\nkey = {text}\n")
        assert "64 hexadecimal digits" in said and "sha256:a" not in said
    assert "has 5 characters, fewer than 16" in (said := faults(f"[client a]\nkey = {PLAIN}, short\n"))
    assert "short" not in said and PLAIN not in said
    assert "is empty" in faults("[client a]\nkey =\n") and "is missing" in faults("[client a]\n")
    for other in (PLAIN, client_keys.hashed(PLAIN), f"{OLD}, {PLAIN}"):
        said = faults(f"[client a]\nkey = {PLAIN}\n[client b]\nkey = {other}\n")
        assert "is the same as the key of [client a]" in said


def test_nothing_shows_a_key() -> None:
    chosen = load.read(one_upstream("http://127.0.0.1:9", "chat") + CLIENTS, "s.ini", environ={})
    assert chosen.secrets() == (OLD, PLAIN)
    for text in (repr(chosen), "\n".join(chosen.describe())):
        assert not any(key in text for key in (PLAIN, OLD, client_keys.digest(NEW).hex()))


def test_keys_in_files(tmp_path: Path) -> None:
    (tmp_path / "new").write_text(client_keys.hashed(NEW) + "\n")
    text = one_upstream("http://127.0.0.1:9", "chat") + "[client a]\nkey = file:new, ${KEY}\n"
    (client,) = load.read(text, "s.ini", environ={"KEY": OLD}, folder=tmp_path).clients
    assert client.key == (client_keys.hashed(NEW), OLD) and client.plain_keys == (OLD,)


def test_programs_that_need_a_key_take_one_that_is_known() -> None:
    chosen = load.read(one_upstream("http://127.0.0.1:9", "chat") + CLIENTS, "s.ini", environ={})
    assert launch.described(chosen, {}).key == PLAIN and stats._key_of(chosen) == OLD
    text = one_upstream("http://127.0.0.1:9", "chat") + f"[client a]\nkey = {client_keys.hashed(NEW)}\n"
    hashes = load.read(text, "s.ini", environ={})
    with pytest.raises(launch.Unreachable, match="PROXY_KEY"):
        launch.described(hashes, {})
    assert launch.described(hashes, {"PROXY_KEY": NEW}).key == NEW and stats._key_of(hashes) == ""


def test_the_command_makes_a_key_that_comes_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["new-one", "--admin"]) == 0
    words = capsys.readouterr().out.split()
    key = next(word for word in words if word.startswith("sk-proxy-"))
    line = next(word for word in words if word.startswith("sha256:"))
    assert key not in line and "true" in words and "[client" in words and "new-one]" in words
    text = f"[client new-one]\nkey = {line}\n"
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat") + text) as house:
        assert house.post(PATH, ASKED, {"x-api-key": key})[0] == 200
    with pytest.raises(SystemExit):
        command.main(["a name"])
