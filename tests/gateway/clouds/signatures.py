"""Signatures for AWS, checked with botocore: what a recorded request says is what AWS would work out for it."""

from __future__ import annotations

import hashlib
import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.script import Request

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG:bPxRfiCYEXAMPLEKEY", "session/token+with==signs")
_AUTH = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/([\w-]+)/aws4_request, SignedHeaders=([^,]+), "
    r"Signature=([0-9a-f]{64})"
)


def check(request: Request, service: str, region: str, keys: Credentials = KEYS) -> set[str]:
    """The names of the signed headers. AssertionError where the signature is not the right one."""
    found = _AUTH.fullmatch(request.headers["authorization"])
    assert found is not None, request.headers["authorization"]
    access, day, in_region, for_service, names, signature = found.groups()
    assert (access, in_region, for_service) == (keys.access_key, region, service)
    date = request.headers["x-amz-date"]
    assert date.startswith(day)
    assert request.headers.get("x-amz-content-sha256", _digest(request.body)) == _digest(request.body)
    signed = names.split(";")
    url = f"http://{request.headers['host']}{request.path}"
    asked = AWSRequest(request.method, url, {name: request.headers[name] for name in signed}, request.body)
    asked.context["timestamp"] = date
    signer = SigV4Auth(keys, service, region)
    canonical = signer.canonical_request(asked)
    assert signer.signature(signer.string_to_sign(asked, canonical), asked) == signature, canonical
    return set(signed)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
