"""No secret of the settings is in a description or an error, whatever is wrong with the file."""

from __future__ import annotations

import pytest

from tests.operate.test_settings import fault, faults, take

SECRETS = {
    "API": "sk-planted-api-000001",
    "CLIENT": "planted-client-0002",
    "HEADER": "planted-header-0003",
    "PASSWORD": "planted-proxy-0004",
}
SECRET_FILE = """\
[client me]
key = ${CLIENT}
[upstream x]
protocol = chat
base_url = http://x
api_key = ${API}
headers =
    Authorization: Bearer ${HEADER}
    public X-Title: open
    X-Tenant: acme
[pool]
proxy = http://me:${PASSWORD}@10.0.0.1:3128
"""


def test_secrets_are_in_no_repr_and_no_description() -> None:
    settings = take(SECRET_FILE, **SECRETS)
    assert set(SECRETS.values()) <= set(settings.secrets())
    described = "\n".join(settings.describe())
    for text in (repr(settings), described):
        assert not [secret for secret in SECRETS.values() if secret in text]
    assert "X-Title: open" in described and "acme" not in described
    assert "http://********@10.0.0.1:3128" in described


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("api_key = ${API}", "api_key = ${API} x"),
        ("api_key = ${API}", "apikey = ${API}"),
        ("api_key = ${API}", "api_key ${API}"),
        ("api_key = ${API}", "api_key = '${API}'"),
        ("api_key = ${API}", "max_tokens = ${API}"),
        ("api_key = ${API}", "key_header = ${API}"),
        ("api_key = ${API}", "enabled = ${API}"),
        ("key = ${CLIENT}", "key = ${CLIENT} ${CLIENT}"),
        ("key = ${CLIENT}", "key = ${${CLIENT}}"),
        ("    Authorization: Bearer ${HEADER}", "    Bearer ${HEADER}"),
        ("    Authorization: Bearer ${HEADER}", "    Authorization: Bearer ${HEADER}\x07"),
        ("    Authorization: Bearer ${HEADER}", "    Host: ${HEADER}"),
        ("base_url = http://x", "base_url = http://me:${PASSWORD}@x"),
        ("base_url = http://x", "base_url = ftp://me:${PASSWORD}@x"),
        ("proxy = http://me:${PASSWORD}@10.0.0.1:3128", "proxy = smb://me:${PASSWORD}@10.0.0.1:3128"),
        ("protocol = chat", "protocol = ${API}"),
        ("[pool]", "[models]\na = ${API}\n[pool]"),
    ],
)
def test_no_error_shows_a_secret(old: str, new: str) -> None:
    text = SECRET_FILE.replace(old, new)
    for name, value in SECRETS.items():  # what the file itself holds must not be shown either
        for written in (text, text.replace("${" + name + "}", value)):
            told = "\n".join(faults(written, **SECRETS))
            assert not [secret for secret in SECRETS.values() if secret in told], told


def test_what_is_private_is_not_shown_even_if_it_looks_like_nothing() -> None:
    line = fault("[upstream x]\nprotocol = chat\nbase_url = http://x\nheaders = hunter2")
    assert line == "settings.ini:4: [upstream x] headers: is not lines of 'Name: value'"


def test_no_option_error_shows_a_secret() -> None:
    assert SECRETS["API"] not in "\n".join(faults("", SECRETS["API"], f"upstream.x.apikey={SECRETS['API']}"))
