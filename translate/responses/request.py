"""Responses requests, both ways: `decode` reads a client's body, `encode` writes an upstream's."""

from translate.responses.decode_request import decode
from translate.responses.encode_request import encode

__all__ = ["decode", "encode"]
