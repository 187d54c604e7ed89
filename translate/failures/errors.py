"""One error model for all protocols.

`ApiError` says in neutral words what went wrong: a kind from the table below, a status, a message. `parse` reads any
upstream's error body into it (compatible servers use a dozen shapes). The client's dialect decides how the client is
told (`Dialect.errors`). A request that the proxy itself refuses raises BadRequest, and a reply that it cannot
understand raises BadReply; translators raise no other errors. If both sides speak the same protocol, nothing is parsed:
the upstream's error body goes back as it came.
"""

from __future__ import annotations

import math
import re
from typing import Any, Protocol, TypeGuard

from msgspec import Struct

from translate import late
from translate.failures import error_words, resets, vendor_codes
from translate.json import wire
from translate.json.json_fields import index_of, objects_of
from translate.streams import sse

# kind -> (usual status, Anthropic's error.type, OpenAI's error.type, OpenAI's error.code)
KINDS: dict[str, tuple[int, str, str, str | None]] = {
    "invalid_request": (400, "invalid_request_error", "invalid_request_error", None),
    "context_overflow": (400, "invalid_request_error", "invalid_request_error", "context_length_exceeded"),
    "authentication": (401, "authentication_error", "authentication_error", "invalid_api_key"),
    "billing": (402, "billing_error", "insufficient_quota", "insufficient_quota"),
    "permission": (403, "permission_error", "permission_error", None),
    "not_found": (404, "not_found_error", "invalid_request_error", None),
    "timeout": (504, "timeout_error", "timeout_error", None),
    "conflict": (409, "invalid_request_error", "invalid_request_error", None),
    "too_large": (413, "request_too_large", "invalid_request_error", "request_too_large"),
    "rate_limit": (429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded"),
    "api": (500, "api_error", "server_error", None),
    "upstream": (502, "api_error", "server_error", "upstream_error"),
    "overloaded": (529, "overloaded_error", "service_unavailable_error", "overloaded"),
}

_BY_STATUS = {
    400: "invalid_request", 401: "authentication", 402: "billing", 403: "permission", 404: "not_found",
    405: "invalid_request", 408: "timeout", 409: "conflict", 413: "too_large", 422: "invalid_request",
    429: "rate_limit", 500: "api", 502: "upstream", 503: "overloaded", 504: "timeout", 529: "overloaded",
}  # fmt: skip

_BY_TYPE = {row[1]: kind for kind, row in reversed(KINDS.items())} | {
    "server_error": "api",
    "insufficient_quota": "billing",
    "rate_limit_exceeded": "rate_limit",
    "context_length_exceeded": "context_overflow",
    "exceed_context_size_error": "context_overflow",
    "service_unavailable_error": "overloaded",
    "invalid_api_key": "authentication",
    "model_not_found": "not_found",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "rate_limited": "rate_limit",
    "service_tier_capacity_exceeded": "rate_limit",
    "usage_limit_reached": "rate_limit",
    "usage_limit_exceeded": "rate_limit",
    "vector_store_timeout": "timeout",
}

# What else a failed Responses response may give as its only reason: the request cannot succeed as it is.
_BY_TYPE |= dict.fromkeys(
    (
        "invalid_prompt", "data_residency_mismatch", "bio_policy", "cyber_policy", "misalignment_policy_violation",
        "invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "image_too_large",
        "image_too_small", "image_parse_error", "image_content_policy_violation", "invalid_image_mode",
        "image_file_too_large", "unsupported_image_media_type", "empty_image_file", "failed_to_download_image",
        "image_file_not_found",
    ),
    "invalid_request",
)  # fmt: skip


MAX_MESSAGE = 16_000  # characters of an upstream's message: some repeat all of the request
_CUT = "... [cut]"
_LIMITS = ("rate_limit", "overloaded")
_MESSAGE_KEYS = ("message", "msg", "error_msg", "error_message", "errorMessage", "status_msg")
_STATUS_KEYS = ("status_code", "http_code", "raw_status_code", "status")
_SAID = late.pattern(rb'"(?:message|msg|detail|error)"\s*:\s*"((?:[^"\\]|\\.){1,%d})' % MAX_MESSAGE)


class ApiError(Exception):
    """theirs: the message is an upstream's own, which may quote anything. kind: a key of KINDS. status: HTTP.
    param and code: OpenAI's fields, kept where an upstream gave them. retry_after: seconds, where the upstream
    or the proxy knows. reset: all that an upstream says of when its limit ends. details: Anthropic's, which its SDKs
    act upon. words: of an upstream's message, which alone make it an error of this kind. otherwise: its kind
    without them."""

    def __init__(
        self,
        kind: str,
        message: str,
        status: int = 0,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status or KINDS[kind][0]
        self.param = param
        self.code = code
        self.retry_after = retry_after
        self.details = details
        self.reset = resets.UNTOLD
        self.theirs = False
        self.words = self.otherwise = ""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind} {self.status}: {self.message}>"


class BadRequest(ApiError):
    """The client's request cannot be understood or cannot cross; names the field."""

    def __init__(self, message: str, param: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__("invalid_request", message, param=param, details=details)


class BadReply(ApiError):
    """The upstream's reply cannot be understood. is_page: it is a page for people, or leads to one, so that no model
    was at work; the same server will hardly answer better. is_empty: it shows no sign that a model was at work."""

    def __init__(self, message: str, *, is_page: bool = False, is_empty: bool = False) -> None:
        super().__init__("upstream", message)
        self.is_page = is_page
        self.is_empty = is_empty


class ErrorWriter(Protocol):
    """An error in the words of a protocol."""

    def __call__(self, error: ApiError, request_id: str = "") -> bytes: ...


def whole_seconds(wait_s: float) -> int:
    """Returns a wait as clients are told it: rounded up, since they read no fractions, and at least 1."""
    return max(1, math.ceil(wait_s))


# --------------------------------------------------------------------------------------------- reading


def parse(status: int, raw: bytes, content_type: str = "") -> ApiError:
    """Reads any upstream's error body. Never raises; a body that says nothing is described by its status."""
    try:
        data = wire.loads(raw)
    except ValueError:
        if said := in_event(raw):
            return parse(status, said)
        return _from_cut(status, raw) or _from_text(status, raw, content_type)
    error = of_object(data, status)
    return error or ApiError(kind_of(status), f"upstream answered {status} without an error message", status)


def of_object(data: Any, status: int = 0, *, is_error: bool = False) -> ApiError | None:
    """Returns the error in a decoded JSON body or stream event, or None if there is none. is_error: it is known to be
    an error.

    Shapes seen: {"error": {...}} with message/type/code/param (code may be an int, and may be the status), {"error":
    "text"} beside a code, flat {"object": "error", "message": ...} or {"type": "error", ...} (Responses), {"detail":
    "text" or list}, {"message": ..., "code": ...}.
    """
    if isinstance(data, list):  # Gemini wraps it
        data = data[0] if data else None
    if not isinstance(data, dict):
        return None
    inner = data.get("error")
    if isinstance(inner, str) and inner:
        return _make(status, inner, data.get("type"), data.get("code"), data.get("param"))
    if isinstance(inner, dict) and inner:
        return _from_inner(status, inner)
    if data.get("detail"):
        detail = data["detail"]
        return _make(status, detail if isinstance(detail, str) else wire.dumps_text(detail), None, None, None)
    if isinstance(data.get("Message"), str):  # AWS, some of its services
        return _make(status, data["Message"], None, None, None)
    if errors := objects_of(data, "errors"):
        meant = vendor_codes.CLOUDFLARE.get(index_of(errors[0].get("code")) or 0, 0)
        return _from_inner(status or meant, errors[0])
    if isinstance(base := data.get("base_resp"), dict) and base.get("status_code"):
        meant = status if status >= 400 else vendor_codes.MINIMAX.get(index_of(base["status_code"]) or 0, 0)
        return _make(meant, str(base.get("status_msg") or base["status_code"]), None, None, None)
    marks = (data.get("object"), data.get("type"))
    is_error = is_error or status >= 400 or data.get("success") is False or inner is True or "error" in marks
    if data.get("success") is not True:
        is_error = is_error or vendor_codes.kind_of(data.get("code")) is not None or _is_status(data.get("code"))
    for key in _MESSAGE_KEYS if is_error else ():
        if isinstance(data.get(key), str) and data[key]:
            beside = {k: data.get(k) for k in ("type", "code", "param", "raw_status_code")}
            return _from_inner(status, {"message": data[key]} | beside)
    return None


def remark(data: Any) -> ApiError | None:
    """Returns what an object complains of that has nothing of a reply. It counts as an error if the reply does not come
    to its end."""
    if isinstance(data, dict) and data.get("error") == {}:
        return ApiError("api", "the upstream reported an error without a message")
    return of_object(data, is_error=True)


def _from_inner(status: int, inner: dict[str, Any]) -> ApiError:
    message = inner.get("message") or inner.get("detail") or inner.get("code") or wire.dumps_text(inner)
    raw = (inner.get("metadata") or {}).get("raw") if isinstance(inner.get("metadata"), dict) else None
    if isinstance(raw, str) and raw and raw not in str(message):  # OpenRouter keeps the real reason here
        message = f"{message}: {raw}"
    code = inner.get("code")
    details = objects_of(inner, "details")
    if told := [_wrong_field(each) for each in details if isinstance(each.get("msg"), str)]:
        message = f"{message}: {'; '.join(told)}"
    if any(each.get("reason") == "API_KEY_INVALID" for each in details):  # Google says 400
        status, code = 401, "invalid_api_key"
    given = next((inner[key] for key in _STATUS_KEYS if inner.get(key)), None)
    for value in (code, given):
        if not status and _is_status(value):
            status = int(value)
    error = _make(status, str(message), inner.get("type"), code, inner.get("param"))
    error.reset = resets.told(inner, details, error.message, is_limit=error.kind in _LIMITS)
    error.retry_after = error.reset.wait_s
    return error


def _is_status(value: Any) -> TypeGuard[int | str]:
    """Whether a code is an HTTP status that says that something failed."""
    return isinstance(value, int | str) and len(told := str(value)) == 3 and told.isdecimal() and told[0] in "45"


def _wrong_field(detail: dict[str, Any]) -> str:
    """Returns what a check of the request's fields says of one of them (FastAPI's form, in Azure's errors)."""
    where = detail.get("loc")
    path = ".".join(map(str, where)) if isinstance(where, list) else ""
    return f"{path}: {detail['msg']}" if path else str(detail["msg"])


def _make(status: int, message: str, kind: Any, code: Any, param: Any) -> ApiError:
    code_text = str(code) if code is not None else None
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE] + _CUT
    found, meant = _BY_TYPE.get(str(code)), vendor_codes.kind_of(code)
    # Under 500 it is Mistral's code for any fault, which may come without a type.
    if found is None and str(kind) not in vendor_codes.MISTRALS and (status != 500 or meant in _LIMITS):
        found = meant
    if found is None or found == "api":  # a code for any failure; the type may say more
        found = _BY_TYPE.get(str(kind), found)
    if status >= 400 and status not in (400, 500):  # a status is more certain than a type, except for these two
        found = kind_of(status)
    found = found or kind_of(status or 500)
    otherwise, codes, words = found, {str(code).lower(), str(kind).lower()}, ""
    if found in ("invalid_request", "api", "too_large") and _OVERFLOW.search(message):
        found = "context_overflow"
    elif found in ("invalid_request", "rate_limit", "permission", "authentication") and (
        codes & error_words.NO_CREDIT_CODES or (words := error_words.no_credit(message))
    ):
        found = "billing"
    elif status in (400, 422) and (
        found == "not_found" or codes & error_words.NO_MODEL_CODES or (words := error_words.no_model(message))
    ):
        found, status = "not_found", 404
    elif found in ("invalid_request", "api") and (words := error_words.no_room(message)):
        found, status = "overloaded", status if status == 500 else 0
    usual = KINDS[found][0]
    error = ApiError(
        found,
        message,
        status if status >= 400 else usual,
        param=str(param) if param is not None else None,
        code=code_text if code_text and not code_text.isdigit() else None,
    )
    error.theirs, error.words, error.otherwise = True, words, otherwise
    error.reset = resets.told({}, [], message, is_limit=found in _LIMITS)
    error.retry_after = error.reset.wait_s
    return error


_OVERFLOW = late.pattern(
    r"prompt is too long|maximum context length|context_length_exceeded|context (size|window|length)"
    r"|exceeds? the (available )?context|input is too long|exceeds the maximum number of (?:input )?tokens allowed",
    re.I,
)


class Overflow(Struct, frozen=True):
    """How a protocol's own servers say that a prompt is too long. Clients match on these words to shorten it and go on,
    since a status says no more than that a request is invalid. known: the words that they know. counted: with the
    tokens that there are and that there may be. plain: where no numbers are told."""

    known: tuple[str, ...]
    counted: str
    plain: str


def in_words_of(told: Overflow, error: ApiError) -> str:
    """Returns the error's message, of a prompt that is too long in the words of a protocol: the upstream's own
    follow."""
    message = error.message
    if error.kind != "context_overflow" or any(words in message for words in told.known):
        return message
    numbers = sorted({int(n) for n in re.findall(r"\d{3,12}", message.replace(",", ""))}, reverse=True)
    if len(numbers) < 2:
        return f"{told.plain}: {message}"
    return f"{told.counted.format(numbers[0], numbers[1])} ({message})"


def kind_of(status: int) -> str:
    """Returns the kind for an HTTP status: the table's, else by its hundred."""
    return _BY_STATUS.get(status) or ("invalid_request" if 400 <= status < 500 else "api")


def in_event(raw: bytes) -> bytes:
    """Returns the object in the first event that has one: who was asked for a stream may answer an error in the form
    of one, too. Nothing where it is no stream."""
    if not sse.begins(raw.lstrip()):
        return b""
    splitter = sse.Splitter()
    events = [*splitter.feed(raw.lstrip()[: sse.Most.event_bytes]), splitter.rest()]
    return next((data for event in events if (data := sse.fields(event)[1].lstrip())[:1] == b"{"), b"")


def _from_cut(status: int, raw: bytes) -> ApiError | None:
    """Returns the first message in a JSON text that is cut off or otherwise broken."""
    head = raw[: 2 * MAX_MESSAGE]
    if head.lstrip()[:1] not in (b"{", b"[") or not (said := _SAID.search(head)):
        return None
    try:
        message = wire.loads(b'"%b"' % said[1])
    except ValueError:
        message = said[1].decode("utf-8", "replace")
    whole = head[said.end() : said.end() + 1] == b'"'
    return _make(status, message if whole else message + _CUT, None, None, None)


def _from_text(status: int, raw: bytes, content_type: str) -> ApiError:
    text = raw[:2000].decode("utf-8", "replace").strip()
    if not text:
        return ApiError(kind_of(status), f"upstream answered {status} with an empty body", status)
    if "html" in content_type or text[:1] == "<":
        title = re.search(r"<title>(.*?)</title>", text, re.I | re.S)
        said = f': "{title.group(1).strip()[:200]}"' if title else ""
        text = f"upstream answered {status} with an HTML page{said}"
    error = ApiError(kind_of(status), text[:500], status)
    error.theirs = True
    return error
