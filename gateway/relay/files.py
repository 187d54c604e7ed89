"""The paths of files, /v1/files: which upstream has them, and to which client a file belongs.

No model says where such a request goes. It goes to the one upstream that has files, or to the one that the header
X-Proxy-Upstream names. All clients share an upstream's keys, so a file belongs to a client only because that is noted
here: if there are several clients, none can find, list or delete the files of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct

from gateway.flow.client_request import ClientRequest
from gateway.flow.ports import Ports
from gateway.routing.router import Route
from gateway.routing.upstreams import LiveUpstream
from gateway.stored import store_sync
from gateway.stored.previous_response import owner_of
from operate.owner_store import Owned
from translate import dialects
from translate.dialect import Dialect
from translate.failures.errors import ApiError, BadRequest
from translate.json import wire

HEADER = "X-Proxy-Upstream"
_PATH = re.compile(r"/v1/files(?:/([A-Za-z0-9_-][A-Za-z0-9_.=-]{0,999})(/content)?)?/?")
_ENDS = ("first_id", "last_id")
_CURSORS = frozenset(("after", "after_id", "before_id"))
MOST_ROWS = 1000  # of a page, by either API
MOST_PAGES = 100  # that are looked through for one on which there is something of the client's
_METHODS = {"": ("POST", "GET"), "id": ("GET", "DELETE"), "content": ("GET",)}


class FileRequest(Struct, frozen=True):
    """What a request asks about. id: of a file, "" = all of them or a new one. part: "/content" or ""."""

    method: str
    id: str
    part: str

    @property
    def endpoint(self) -> str:
        return f"files/{self.id}{self.part}" if self.id else "files"


def asked(method: str, path: str) -> FileRequest | None:
    """Returns what a request asks about; None for other paths. Raises ApiError (405) for another method."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    id, part = found[1] or "", found[2] or ""
    allowed = _METHODS["content" if part else "id" if id else ""]
    if method not in allowed:
        raise ApiError("invalid_request", f"{method} {path}: only {' and '.join(allowed)} are served here", 405)
    return FileRequest(method, id, part)


async def routes(request: ClientRequest, asked: FileRequest, ports: Ports) -> list[Route]:
    """Returns where the request goes: to the key that has the file. All else goes to the first key: to the others a new
    file and a list go only where that one is refused, and what is asked of a file, such as one that a model has made,
    also where it does not have it. Raises ApiError."""
    rules = ports.rules_of(request.client) if ports.rules_of is not None else None
    able = {upstream.name: upstream for upstream in _having(request.dialect, ports)}
    having = {name: upstream for name, upstream in able.items() if rules is None or rules.allow(name)}
    if able and not having:
        why = f"[client {request.client}] models and upstreams in settings.ini say what it may use"
        raise ApiError("permission", f"client '{request.client}' may not use files: {why}")
    named = request.headers.get(HEADER, "")
    owned = await _owned(request, asked, ports) if asked.id else None
    if owned is not None and not named:
        named = owned.upstream
    if named and named not in having:
        known = ", ".join(having) or "none"
        raise ApiError("not_found", f"upstream '{named[:100]}' has no files here; upstreams with files: {known}")
    if not having:
        raise ApiError("not_found", f"no upstream that is on has files for clients of {request.protocol}: "
                                    "[upstream NAME] files in settings.ini says which one has")  # fmt: skip
    if not named and len(having) > 1:
        raise BadRequest(f"several upstreams have files ({', '.join(having)}): name one in the header {HEADER}, or set "
                         "[upstream NAME] files = true for one of them")  # fmt: skip
    upstream = having[named or next(iter(having))]
    keys = [upstream.key_number(owned.key)] if owned is not None else range(len(upstream.key_names))
    protocol = request.protocol if request.protocol in upstream.settings.protocol else upstream.settings.protocol[0]
    return [Route(upstream, protocol, "", protocol, key=key, stage=key) for key in keys]


def any_for(dialect: Dialect, ports: Ports) -> bool:
    """Returns whether an upstream has files for clients of this protocol."""
    return any(True for _ in _having(dialect, ports))


def _having(dialect: Dialect, ports: Ports) -> Iterable[LiveUpstream]:
    """Returns the upstreams with files: those that the settings name, else those that speak the client's API."""
    own = dialect.http.auth  # the protocols of one provider have the same header
    speak = {each.name for each in dialects.every() if each.endpoint("files") is not None and each.http.auth == own}
    able = [upstream for upstream in ports.router.upstreams.values()
            if speak.intersection(upstream.settings.protocol) and not ports.router.is_demo(upstream.name)]  # fmt: skip
    named = [upstream for upstream in able if upstream.settings.files == "true"]
    return named or [upstream for upstream in able if upstream.settings.files == "auto"]


async def _owned(request: ClientRequest, asked: FileRequest, ports: Ports) -> Owned | None:
    """Returns where a file is. Raises ApiError (404) for a file of another client."""
    memory, owner = ports.response_store, owner_of(request.client, request.headers)
    await _learn(ports, owner, [asked.id])
    owned = memory.noted(asked.id)
    if (owned is None and memory.shared) or (owned is not None and owned.owner != owner):
        raise ApiError("not_found", f"no file '{asked.id}' of this client is known")
    return owned


async def _learn(ports: Ports, owner: str, ids: list[str]) -> None:
    """Learns what other workers and the disk know of these files."""
    if lacking := store_sync.unknown(ports.worker_rpc, ports.response_store, [owner], ids):
        await store_sync.fetch(ports.worker_rpc, ports.response_store, owner, lacking)


def note(request: ClientRequest, asked: FileRequest, ports: Ports, route: Route, body: bytes) -> None:
    """Notes to which client a new file belongs. body: the upstream's reply."""
    try:
        said = wire.loads(body)
    except ValueError:
        return
    if asked.method == "POST" and isinstance(said, dict) and isinstance(id := said.get("id"), str):
        key = route.upstream.key_names[route.key]
        ports.response_store.went(id, owner_of(request.client, request.headers), route.upstream.name, key)


class Page(NamedTuple):
    """onward: the query for the next page, None where this one has something of its client's, or is the last."""

    body: bytes
    onward: str | None


async def of_owner(request: ClientRequest, ports: Ports, body: bytes, query: str) -> Page:
    """A list of files less those that are not known to be this client's. Where there is one client, all are. query: by
    which it was asked for. Raises ApiError."""
    if not ports.response_store.shared:
        return Page(body, None)
    try:
        said: Any = wire.loads(body)
        rows = [row for row in said["data"] if isinstance(row, dict)]
    except (ValueError, KeyError, TypeError):
        raise ApiError("upstream", "the upstream's list of files cannot be read") from None
    ids = [str(row.get("id")) for row in rows]
    owner, noted = owner_of(request.client, request.headers), ports.response_store.noted
    for at in range(0, len(ids), store_sync.MAX_IDS):
        await _learn(ports, owner, ids[at : at + store_sync.MAX_IDS])
    own = [row for row in rows if (owned := noted(str(row.get("id")))) and owned.owner == owner]
    onward = _onward(said, ids, query) if not own else None
    ends = {"first_id": own[0].get("id"), "last_id": own[-1].get("id")} if own else dict.fromkeys(_ENDS)
    said |= {"data": own} | {name: id for name, id in ends.items() if name in said}
    return Page(wire.dumps(said), onward)


def _onward(said: dict[str, Any], ids: list[str], query: str) -> str | None:
    """The query for the page behind one, by the ids of its rows. Where pages have cursors of their own (`next_page`),
    clients follow them through empty ones; elsewhere most libraries stop there, whatever the page says."""
    if said.get("has_more") is not True or not ids or said.get("next_page"):
        return None
    asked = parse_qsl(query, keep_blank_values=True)
    back = any(name == "before_id" for name, _ in asked)
    kept = [(name, value) for name, value in asked if name not in _CURSORS]
    if not any(name == "limit" for name, _ in kept):
        kept.append(("limit", str(MOST_ROWS)))  # the client does not care how many there are on a page
    after = "after_id" if "last_id" in said else "after"
    return urlencode([*kept, ("before_id", ids[0]) if back else (after, ids[-1])])


def dialect_of(headers: Mapping[str, str]) -> Dialect:
    """Returns the protocol of a client that asks for files; two protocols have them."""
    found = dialects.asking(headers)
    return found if found.endpoint("files") is not None else dialects.of("chat")
