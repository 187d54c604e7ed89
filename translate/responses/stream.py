"""Responses streams, both ways: `Decoder` reads an upstream's, `Encoder` writes a client's."""

from translate.responses.decode_stream import Decoder
from translate.responses.encode_stream import Encoder

__all__ = ["Decoder", "Encoder"]
