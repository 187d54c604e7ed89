"""What a client is told at an address that is not served: most often, its base URL is slightly wrong."""

from __future__ import annotations

from translate import dialects

ROOT = "/v1"
_FURTHER = (dialects.LISTS, "/v1/batches")  # served, and no endpoint of a protocol
_MOST_SHOWN = 200  # characters of an address


def meant(path: str) -> tuple[str, str] | None:
    """Returns the address that was probably meant, and what to do to the client's base URL; None where nothing is like
    it. A client appends "/v1/messages" to its base URL, or "/chat/completions"."""
    found: tuple[str, str, str] | None = None  # what is appended, what stands before it, the address
    for address in _plain():
        for appended in (address, address.removeprefix(ROOT)):
            before = path.removesuffix(appended)
            if before == path or (found is not None and len(found[0]) >= len(appended)):
                continue
            # Otherwise it is another endpoint of the API, such as /v1/threads/ID/messages.
            if appended == address or not before.startswith(f"{ROOT}/") or before in _plain():
                found = appended, before, address
    if found is None:
        return None
    appended, before, address = found
    shown = before[:_MOST_SHOWN]
    if appended == address:
        return address, f"remove {shown} from your client's base URL"
    return address, f"write {ROOT} in place of {shown} in your client's base URL" if before else (
        f"add {ROOT} to your client's base URL"
    )


def alike(path: str) -> list[str]:
    """Returns the addresses that begin as this one does, or all of them."""
    every = [*dialects.addresses(), *_FURTHER]
    root = path.split("/")[1:2]
    return [address for address in every if address.split("/")[1:2] == root] or every


def _plain() -> list[str]:
    return [address for address in (*dialects.addresses(), *_FURTHER) if "{" not in address]
