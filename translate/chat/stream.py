"""Chat streams, both ways: `Decoder` reads an upstream's, `Encoder` writes a client's."""

from translate.chat.decode_stream import Decoder
from translate.chat.encode_stream import Encoder

__all__ = ["Decoder", "Encoder"]
