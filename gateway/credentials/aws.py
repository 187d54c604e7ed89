"""The keys with which requests to AWS are signed: `api_key = aws:PLACE`.

Without a place, these are tried in the usual order: a Bedrock API key in AWS_BEARER_TOKEN_BEDROCK, keys in the
environment, a profile of the shared files, and a container's credentials if the environment names them. The metadata
service of the machine is asked only if the settings say so (aws:instance): on other machines the question would go to
anybody who has that address.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gateway.credentials import aws_files, command
from gateway.credentials.asking import Ask
from gateway.credentials.aws_files import PUBLIC
from gateway.credentials.minted import Minted, NoKey

BEARER = "AWS_BEARER_TOKEN_BEDROCK"
CONTAINER_HOST = "http://169.254.170.2"
INSTANCE_HOST = "http://169.254.169.254"
_RELATIVE, _FULL = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN, _TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
# A container's credentials may come by https, or from these: the machine itself, and the agents of ECS and EKS.
_PLAIN_HOSTS = ("127.0.0.1", "localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")


class Chain:
    """The places that are tried. bearer: whether a Bedrock API key is accepted. timeout_s: of each question."""

    def __init__(
        self, place: str, ask: Ask, timeout_s: float, *, bearer: bool, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._place = place
        self._ask = ask
        self._timeout_s = timeout_s
        self._bearer = bearer
        self._environ = environ

    def __repr__(self) -> str:
        return f"<Chain aws:{self._place}>"

    async def keys(self) -> Minted:
        """Raises NoKey."""
        place, environ = self._place, self._environ
        if place == "container":
            return await self._of_container()
        if place == "instance":
            return await self._of_instance()
        if place.startswith("profile="):
            name = place.removeprefix("profile=")
            return await self._of_profile(name) or _none(f"there is no profile '{name}' in the shared files")
        if self._bearer and (token := environ.get(BEARER)):
            return Minted(token)
        if (keys := aws_files.in_environment(environ)) is not None:
            return Minted(aws=keys)
        if place == "env":
            return _none("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
        if (minted := await self._of_profile("")) is not None:
            return minted
        if environ.get(_RELATIVE) or environ.get(_FULL):
            return await self._of_container()
        return _none("there are no keys in the environment, the shared files, or for this container; on a machine of "
                     "EC2 use api_key = aws:instance")  # fmt: skip

    async def _of_profile(self, name: str) -> Minted | None:
        found = await asyncio.to_thread(aws_files.profile, name, self._environ)
        if found is None:
            return None
        if found.keys is not None:
            return Minted(aws=found.keys)
        if not found.command:
            return _none("the profile has no aws_access_key_id with its aws_secret_access_key, and no "
                         "credential_process")  # fmt: skip
        try:
            argv = shlex.split(found.command)
        except ValueError as why:
            return _none(f"credential_process cannot be read: {why}")
        minted = await command.run(argv, self._timeout_s)
        return minted if minted.aws is not None else _none("credential_process prints no AWS keys")

    async def _of_container(self) -> Minted:
        environ = self._environ
        url = environ.get(_FULL, "")
        if relative := environ.get(_RELATIVE):
            url = CONTAINER_HOST + "/" + relative.lstrip("/")
        parts = urlsplit(url)
        if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in _PLAIN_HOSTS):
            return _none(f"{_RELATIVE} or {_FULL} must name a place on this machine, or an https address")
        token = environ.get(_TOKEN, "")
        if file := environ.get(_TOKEN_FILE):
            try:
                token = (await asyncio.to_thread(Path(file).read_text)).strip()
            except (OSError, UnicodeDecodeError) as why:
                return _none(f"cannot read {file}: {why}")
        lines = [f"authorization: {token}"] if token else []
        return self._read(await self._told("GET", url, lines), url)

    async def _of_instance(self) -> Minted:
        """By version 2 of the metadata service, which wants a token first."""
        host = self._environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").rstrip("/") or INSTANCE_HOST
        token = await self._told("PUT", f"{host}/latest/api/token", ["x-aws-ec2-metadata-token-ttl-seconds: 300"])
        said = [f"x-aws-ec2-metadata-token: {token.decode('latin-1').strip()}"]
        roles = f"{host}/latest/meta-data/iam/security-credentials/"
        role = (await self._told("GET", roles, said)).decode("utf-8", "replace").split("\n")[0].strip()
        if not role or "/" in role:
            return _none("this machine has no role")
        return self._read(await self._told("GET", roles + role, said), roles)

    async def _told(self, method: str, url: str, lines: list[str]) -> bytes:
        told = await self._ask(method, url, lines, b"" if method == "PUT" else None, self._timeout_s)
        if told.status != 200:
            why = f"answered {told.status}" if told.status else told.failure
            raise NoKey(f"{url.partition('?')[0]}: {why}", PUBLIC)
        return told.body

    def _read(self, body: bytes, where: str) -> Minted:
        try:
            said = json.loads(body)
            keys = command.aws_keys(said) if isinstance(said, dict) else None
        except ValueError:
            keys = None
        if keys is None:
            return _none(f"{where.partition('?')[0]} answers without keys")
        return Minted(expires=command.ends(said), aws=keys)


def _none(why: str) -> Minted:
    raise NoKey(why, PUBLIC)
