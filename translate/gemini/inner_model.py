"""The model's name within a request of the Gemini API, which repeats the one of its address.

Each part of `batchEmbedContents`, the whole request that `countTokens` may have, and requests as Google's documents
show them name the model once more. Google answers 400 where it is another one than that of the address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from translate.json import wire
from translate.json.json_fields import Body, list_of

_MARK = b'"model"'


def renamed(body: bytes, asked: str, model: str) -> bytes:
    """Returns the body with the upstream's name of the model in all places that have the client's. Other names stay,
    and a body that is not JSON does, too."""
    if f'models/{asked}"'.encode("utf-8", "surrogatepass") not in body or _MARK not in body:
        return body
    try:
        said: Any = wire.loads(body)
    except ValueError:
        return body
    is_other = False
    for part in _parts(said) if isinstance(said, dict) else ():
        before, found, name = str(part.get("model")).partition("models/")
        if found and name == asked:
            part["model"] = f"{before}models/{model}"
            is_other = True
    return wire.dumps(said) if is_other else body


def _parts(body: Body) -> Iterator[Body]:
    inner = (body.get("generateContentRequest"), body.get("generate_content_request"), *list_of(body, "requests"))
    yield body
    yield from (part for part in inner if isinstance(part, dict))
