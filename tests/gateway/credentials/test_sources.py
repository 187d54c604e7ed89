"""What api_key may say besides a key, and what is said of it."""

from __future__ import annotations

import pytest

from operate import extras
from operate.settings.load import Settings, SettingsError, read

UP = "[upstream up]\nprotocol = messages\nbase_url = http://127.0.0.1:9\n"


def settings(text: str) -> Settings:
    return read(UP + text, environ={})


def shown(text: str) -> str:
    return next(value.text for value in settings(text).values if value.key in ("api_key", "keys") and value.text)


def test_a_command_is_kept_and_its_arguments_are_not_shown() -> None:
    line = "api_key = cmd: vault read  -field=token 'secret/my key'"
    up = settings(line).upstreams["up"]
    assert up.enabled and up.api_key == "cmd:vault read  -field=token 'secret/my key'" and not up.secrets()
    assert shown(line) == "cmd:vault ..." and "vault" not in repr(up)


def test_several_sources_share_the_load() -> None:
    line = "keys = cmd:one, sk-written-down-123456, google:a.json"
    up = settings(line).upstreams["up"]
    assert up.credentials[:2] == ("cmd:one", "sk-written-down-123456") and up.credentials[2].endswith("/a.json")
    assert up.secrets() == {"sk-written-down-123456"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("cmd:", "needs a command, such as cmd:gcloud auth print-access-token"),
        ("cmd:echo 'x", "the command cannot be read: No closing quotation"),
        ("google:", "needs the file of a service account"),
        ("aws:profile", "after aws: comes nothing, or one of env, profile=NAME, container, instance"),
        ("aws:profile=", "after aws: comes nothing"),
        ("aws:", "aws: needs region, which the section does not say"),
        ("aws:env", "aws: needs aws_service"),
        ("a key", "has a blank"),
    ],
)
def test_what_cannot_be_is_told_without_the_value(value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(f"api_key = {value}")
    assert words in str(caught.value)


def test_google_needs_its_package() -> None:
    needed = extras.needed(settings("api_key = google:/etc/account.json"))
    assert [(extra.name, setting) for extra, setting in needed] == [("google", "[upstream NAME] api_key = google:FILE")]
    assert not extras.needed(settings("api_key = cmd:gcloud auth print-access-token"))
    assert not extras.needed(settings("api_key = google:/etc/account.json\nenabled = false"))
