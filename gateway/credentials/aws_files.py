"""AWS keys in the environment and in the files that AWS's own tools share: ~/.aws/credentials and ~/.aws/config.

A profile may hold keys, or a command that prints them (credential_process). If a profile needs more than that (roles,
single sign-on), the error names it, with the command of AWS's own tool that makes such keys.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from gateway.credentials.minted import AwsKeys, NoKey

PUBLIC = "there are no AWS credentials for it"
MAX_FILE = 1 << 20
_ELSEWHERE = ("role_arn", "sso_session", "sso_start_url", "sso_account_id", "login_session")


class Profile(Struct, frozen=True):
    """What a profile gives: keys, or a command. Both may be missing."""

    keys: AwsKeys | None = None
    command: str = ""


def in_environment(environ: Mapping[str, str]) -> AwsKeys | None:
    access, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    return AwsKeys(access, secret, environ.get("AWS_SESSION_TOKEN", "")) if access and secret else None


def profile(name: str, environ: Mapping[str, str]) -> Profile | None:
    """A profile of the two files, of which the credentials file goes first; None where neither has it. name: "" =
    $AWS_PROFILE, or default. Raises NoKey."""
    name = name or environ.get("AWS_PROFILE", "") or "default"
    shared = _read(environ, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
    config = _read(environ, "AWS_CONFIG_FILE", "config")
    sections = [shared.get(name, {}), config.get(name if name == "default" else f"profile {name}", {})]
    if not any(sections):
        return None
    for said in sections:
        if (access := said.get("aws_access_key_id")) and (secret := said.get("aws_secret_access_key")):
            return Profile(AwsKeys(access, secret, said.get("aws_session_token", "")))
    command = next((said["credential_process"] for said in sections if said.get("credential_process")), "")
    if not command and (found := next((key for key in _ELSEWHERE for said in sections if key in said), "")):
        raise NoKey(
            f"profile '{name}' has {found}, which AWS's own tool resolves: use api_key = cmd:aws configure "
            f"export-credentials --profile {name} --format process",
            PUBLIC,
        )
    return Profile(command=command)


def _read(environ: Mapping[str, str], variable: str, usual: str) -> dict[str, dict[str, str]]:
    """The sections of a file; {} where it is not there."""
    home = environ.get("HOME", "")
    said = environ.get(variable, "")
    path = Path(said.replace("~", home, 1) if said.startswith("~/") else said or f"{home}/.aws/{usual}")
    parser = configparser.RawConfigParser(strict=False, default_section="\0")
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_string(file.read(MAX_FILE), str(path))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as why:
        raise NoKey(f"cannot read {path}: {why}", PUBLIC) from None
    except configparser.Error as why:  # its text quotes lines, which may be keys
        raise NoKey(f"cannot read {path}: {type(why).__name__}", PUBLIC) from None
    return {name: {key: value or "" for key, value in parser.items(name)} for name in parser.sections()}
