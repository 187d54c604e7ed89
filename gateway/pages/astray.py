"""The hint for a client at an address that is not served: most often, its base URL is slightly wrong."""

from __future__ import annotations

import re

from translate import dialects

_ROOTS = ("/v1", "/v1beta")  # what base URLs end with, or clients append by themselves
_FURTHER = (dialects.LISTS, "/v1/batches", "/api/tags", "/api/show", "/api/ps")  # served, and no endpoint of a protocol
_MODEL = "{model}"
_SLASHES = re.compile("/{2,}")
_MOST_SHOWN = 200  # characters of an address


def meant(path: str) -> tuple[str, str] | None:
    """Returns the address that was probably meant, and what to do to the client's base URL; None where nothing is like
    it. A client appends "/v1/messages" to its base URL, "/chat/completions", or "/models/NAME:generateContent"."""
    tidy = _SLASHES.sub("/", path).removesuffix("/")
    if tidy != path and not path.startswith("//") and (dialects.at(tidy) is not None or tidy in _served()):
        todo = (
            "remove the slash at the end" if tidy == path[:-1] else "your client's base URL must not end with a slash"
        )
        return tidy[:_MOST_SHOWN], todo
    found: tuple[int, str, str, str] | None = None  # how much is appended, what stands before it, the address, its root
    served = _served()
    for address in served:
        for root in ("", *_ROOTS):
            if not address.startswith(f"{root}/"):
                continue
            before = _before(path, address.removeprefix(root))
            if before is None or (not before and not root):
                continue
            appended = len(path) - len(before)
            if found is not None and found[0] >= appended:
                continue
            # Otherwise it is another endpoint of the API, such as /v1/threads/ID/messages.
            if not root or not before.startswith(f"{root}/") or before in served:
                found = appended, before, address, root
    if found is None:
        return None
    _, before, address, root = found
    shown = before[:_MOST_SHOWN]
    if not root:
        return address, f"remove {shown} from your client's base URL"
    return address, f"write {root} in place of {shown} in your client's base URL" if before else (
        f"add {root} to your client's base URL"
    )


def alike(path: str) -> list[str]:
    """Returns the addresses that begin as this one does, or all of them."""
    every = _served()
    root = path.split("/")[1:2]
    return [address for address in every if address.split("/")[1:2] == root] or every


def _before(path: str, appended: str) -> str | None:
    """Returns what stands in a path before what a client appends to its base URL; None where it ends otherwise."""
    head, has_model, tail = appended.partition(_MODEL)
    if not has_model:
        return path.removesuffix(appended) if path.endswith(appended) else None
    start = path.find(head)
    name = path[start + len(head) : len(path) - len(tail)]
    return path[:start] if start >= 0 and path.endswith(tail) and name else None


def _served() -> list[str]:
    lists = [path for each in dialects.every() for path in each.models.paths[:1]]
    return [*dialects.addresses(), *_FURTHER, *lists]
