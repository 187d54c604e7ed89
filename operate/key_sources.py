"""Where a key comes from that is not written down, as the settings say it: `cmd:COMMAND`, `google:FILE`, `aws:PLACE`.

Such a key expires, and gateway/credentials/ makes a new one in time. This file knows only the words of the settings.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

COMMAND, GOOGLE, AWS = "cmd:", "google:", "aws:"
SCHEMES = (COMMAND, GOOGLE, AWS)
AWS_PLACES = ("", "env", "profile=NAME", "container", "instance")

_PROFILE = re.compile(r"profile=[^\s=]+")


def is_source(text: str) -> bool:
    """Whether a value of api_key says where the key comes from, and is not the key itself."""
    return text.startswith(SCHEMES)


def check(text: str) -> str:
    """The value, without blanks that mean nothing. Raises ValueError with a message."""
    scheme, _, rest = text.partition(":")
    rest = rest.strip()
    if scheme == "cmd":
        argv(text)
    elif scheme == "google":
        if not rest:
            raise ValueError("google: needs the file of a service account, such as google:/etc/proxy/account.json")
    elif rest not in AWS_PLACES[:2] + AWS_PLACES[3:] and not _PROFILE.fullmatch(rest):
        raise ValueError(f"after aws: comes nothing, or one of {', '.join(AWS_PLACES[1:])}")
    return f"{scheme}:{rest}"


def located(text: str, folder: Path) -> str:
    """The value with the path of a file made whole. folder: where a relative one starts."""
    if not text.startswith(GOOGLE) or not (file := text.removeprefix(GOOGLE).strip()):
        return text
    return f"{GOOGLE}{folder / Path(file).expanduser()}"


def argv(text: str) -> list[str]:
    """The words of a command, read as a shell reads them; no shell runs it. Raises ValueError with a message."""
    try:
        words = shlex.split(text.removeprefix(COMMAND))
    except ValueError as why:
        raise ValueError(f"the command cannot be read: {why}") from None
    if not words:
        raise ValueError("cmd: needs a command, such as cmd:gcloud auth print-access-token")
    return words


def shown(text: str) -> str:
    """The value for people. The arguments of a command may hold a secret."""
    if not text.startswith(COMMAND):
        return text
    program, *arguments = argv(text)
    return f"{COMMAND}{program}" + " ..." * bool(arguments)
