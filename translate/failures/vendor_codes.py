"""What codes of the vendors' own mean, where no status says it: under a good one, in a stream, or under 400 or 500 for
all that fails.

They come as `code` beside a message (z.ai and BigModel, Alibaba's DashScope, SiliconFlow), in a list of `errors`
(Cloudflare), and in `base_resp` (MiniMax). The tables hold what their documentation says, and for some codes of
SiliconFlow, Cloudflare and DashScope what their users report.
"""

from __future__ import annotations

from typing import Any

KINDS: dict[str, str] = {}
"""Code -> kind of error (errors.KINDS). A code that names one case of several ("Throttling.RateQuota") may be here by
its beginning alone."""


def _all(kind: str, *codes: str) -> None:
    KINDS.update(dict.fromkeys(codes, kind))


# z.ai, BigModel
_all("authentication", "1000", "1001", "1002", "1003", "1004")
_all("billing", "1113", "1309")
_all("permission", "1110", "1111", "1112", "1121", "1220", "1311")
_all("not_found", "1211", "1221", "1222")
_all("invalid_request", "1210", "1212", "1213", "1214", "1215", "1300", "1301")
_all("context_overflow", "1261")
_all("rate_limit", "1302", "1303", "1304", "1308", "1310", "1313")
_all("overloaded", "1305", "1312")

# DashScope
_all("authentication", "InvalidApiKey")
_all("billing", "Arrearage")
_all("permission", "AccessDenied", "Model.AccessDenied", "Workspace.AccessDenied")
_all("not_found", "ModelNotFound")
_all("too_large", "BadRequest.TooLarge")
_all("invalid_request", "InvalidParameter", "DataInspectionFailed", "BadRequest", "InvalidURL", "UnsupportedOperation")
_all("rate_limit", "Throttling", "LimitRequests")
_all("overloaded", "ModelUnavailable", "ServiceUnavailable", "ModelServingError")

# SiliconFlow
_all("not_found", "20012")
_all("invalid_request", "20015")
_all("billing", "30001")
_all("overloaded", "50505")

NO_CREDIT = frozenset(code for code, kind in KINDS.items() if kind == "billing")
"""BigModel says 429 with them, DashScope 400, SiliconFlow 403."""

MISTRALS = frozenset((
    "rate_limited", "service_tier_capacity_exceeded", "internal_server_error", "unreachable_backend", "invalid_model",
))  # fmt: skip
"""Types of Mistral's errors: the numbers beside them (1000 for any fault, 1300 for a limit) mean something else with
z.ai."""

# MiniMax, which answers 200 to everything. Others are its own faults.
MINIMAX: dict[int, int] = {
    1001: 504, 1002: 429, 1004: 401, 1008: 402, 1026: 400, 1027: 400, 1039: 429, 1041: 429, 1042: 400, 2013: 400,
    2045: 429, 2049: 401, 2056: 429,
}  # fmt: skip

CLOUDFLARE: dict[int, int] = {
    3003: 400, 3006: 413, 3007: 408, 3008: 408, 3023: 403, 3036: 429, 3039: 400, 3040: 429, 3041: 403, 3042: 404,
    5004: 400, 5005: 405, 5007: 404, 5016: 403, 5018: 403, 5019: 405, 7000: 404, 7003: 404, 9109: 403, 10000: 401,
}  # fmt: skip


def kind_of(code: Any) -> str | None:
    """Returns the kind of error that a code means; None for one that nobody has told of."""
    if not isinstance(code, str | int):
        return None
    told = str(code)
    return KINDS.get(told) or KINDS.get(told.partition(".")[0])
