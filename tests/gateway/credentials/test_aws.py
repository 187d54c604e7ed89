"""Where AWS keys come from: environment, shared files, a container, a machine; and what is never asked unasked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.credentials.asking import Answer
from gateway.credentials.aws import Chain
from gateway.credentials.minted import AwsKeys, Minted, NoKey

KEYS = {"AWS_ACCESS_KEY_ID": "A1", "AWS_SECRET_ACCESS_KEY": "S1"}
ROLE = {"AccessKeyId": "A3", "SecretAccessKey": "S3", "Token": "T3", "Expiration": "2033-05-18T03:33:20Z"}


class Services:
    """What answers at some addresses; asked: every question."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, list[str]]] = []

    async def ask(self, method: str, url: str, lines: Sequence[str], body: bytes | None, timeout_s: float) -> Answer:
        self.asked.append((method, url, [*lines]))
        if url not in self.answers:
            return Answer(404, [], b"")
        said = self.answers[url]
        return Answer(200, [], said.encode() if isinstance(said, str) else json.dumps(said).encode())


def keys(place: str, environ: dict[str, str], services: Services | None = None, *, bearer: bool = False) -> Minted:
    ask = (services or Services({})).ask
    return asyncio.run(Chain(place, ask, 5.0, bearer=bearer, environ=environ).keys())


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody with the two shared files."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[default]\naws_access_key_id = A2\naws_secret_access_key = S%2/=\n\n"
        "[short]\naws_access_key_id=A4\naws_secret_access_key=S4\naws_session_token=T4\n"
    )
    (tmp_path / ".aws/config").write_text(
        "[default]\nregion = eu-west-1\n[profile tool]\n"
        f"credential_process = /bin/sh {tmp_path}/tool.sh 'a b'\n"
        "[profile sso]\nsso_session = corp\n[profile bare]\nregion = x\n"
    )
    (tmp_path / "tool.sh").write_text(f"cat <<END\n{json.dumps(ROLE | {'Version': 1, 'SessionToken': 'T$#$1'})}\nEND\n"
                                      .replace("$#$1", ""))  # fmt: skip
    return {"HOME": str(tmp_path)}


def test_the_usual_places_in_their_order(home: dict[str, str]) -> None:
    assert keys("", home | KEYS).aws == AwsKeys("A1", "S1")
    assert keys("", home | KEYS | {"AWS_SESSION_TOKEN": "T"}).aws == AwsKeys("A1", "S1", "T")
    assert keys("", home).aws == AwsKeys("A2", "S%2/=")
    assert keys("", home | {"AWS_PROFILE": "short"}).aws == AwsKeys("A4", "S4", "T4")
    assert keys("profile=short", home | KEYS).aws == AwsKeys("A4", "S4", "T4")


def test_a_bedrock_key_goes_before_signatures_where_it_is_good(home: dict[str, str]) -> None:
    both = home | KEYS | {"AWS_BEARER_TOKEN_BEDROCK": "ABSK"}
    assert keys("", both, bearer=True).key == "ABSK" and keys("", both).aws == AwsKeys("A1", "S1")
    assert keys("env", both, bearer=True).key == "ABSK" and keys("profile=short", both, bearer=True).aws is not None


def test_a_profile_may_name_a_command(home: dict[str, str]) -> None:
    minted = keys("profile=tool", home)
    assert minted.aws == AwsKeys("A3", "S3", "T") and minted.expires == 2e9


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("profile=sso", "has sso_session, which AWS's own tool resolves: use api_key = cmd:aws configure export-cred"),
        ("profile=none", "there is no profile 'none'"),
        ("profile=bare", "has no aws_access_key_id with its aws_secret_access_key"),
        ("env", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set"),
        ("container", "must name a place on this machine"),
    ],
)
def test_what_is_missing_is_said(home: dict[str, str], place: str, words: str) -> None:
    with pytest.raises(NoKey, match=words):
        keys(place, home)


def test_a_file_that_cannot_be_read_is_not_quoted(home: dict[str, str]) -> None:
    Path(home["HOME"], ".aws/credentials").write_text("[default]\nsecret-without-sign\n")
    with pytest.raises(NoKey, match=r"cannot read .*credentials: ParsingError") as why:
        keys("", home)
    assert "without-sign" not in str(why.value)


def test_a_container(home: dict[str, str], tmp_path: Path) -> None:
    services = Services({"http://169.254.170.2/v2/c?id=1": ROLE, "http://169.254.170.23/v1/c": ROLE})
    relative = home | {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/c?id=1"}
    assert keys("container", relative, services).expires == 2e9
    (tmp_path / "token").write_text("tok\n")
    full = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/c",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"), "HOME": "/nonexistent"}  # fmt: skip
    assert keys("", full, services).aws == AwsKeys("A3", "S3", "T3")
    assert services.asked[1] == ("GET", "http://169.254.170.23/v1/c", ["authorization: tok"])


@pytest.mark.parametrize("url", ["http://evil.test/c", "http://169.254.169.254/c", "file:///etc/passwd"])
def test_a_containers_keys_come_from_nowhere_else(url: str) -> None:
    services = Services({url: ROLE})
    with pytest.raises(NoKey, match="must name a place on this machine, or an https address"):
        keys("container", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, services)
    assert not services.asked


def test_a_machine_is_asked_by_the_second_version_and_only_where_that_is_said() -> None:
    base = "http://169.254.169.254/latest"
    services = Services({f"{base}/api/token": "tok", f"{base}/meta-data/iam/security-credentials/": "role\n",
                         f"{base}/meta-data/iam/security-credentials/role": ROLE})  # fmt: skip
    nowhere = {"HOME": "/nonexistent"}
    with pytest.raises(NoKey, match="on a machine of EC2 use api_key = aws:instance"):
        keys("", nowhere, services)
    assert not services.asked
    assert keys("instance", nowhere, services).aws == AwsKeys("A3", "S3", "T3")
    assert services.asked[0] == ("PUT", f"{base}/api/token", ["x-aws-ec2-metadata-token-ttl-seconds: 300"])
    assert services.asked[2][2] == ["x-aws-ec2-metadata-token: tok"]


def test_what_is_no_answer(home: dict[str, str]) -> None:
    for answers in ({}, {"http://169.254.170.2/c": "no"}, {"http://169.254.170.2/c": {"Code": "Failed"}}):
        with pytest.raises(NoKey, match=r"answered 404|answers without keys"):
            keys("container", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "c"}, Services(answers))
