"""Chat requests, both ways: `decode` reads a client's body, `encode` writes an upstream's."""

from translate.chat.decode_request import decode
from translate.chat.encode_request import encode

__all__ = ["decode", "encode"]
