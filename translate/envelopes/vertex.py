"""Google's Vertex AI (Agent Platform): rawPredict and streamRawPredict of models by Anthropic, with Messages inside.

The model stands in the address; the version is a member of the body; betas are a header, and a stream is the one of
Messages. A count has an address of its own, and says the model in its body.
"""

from __future__ import annotations

from urllib.parse import quote

from translate.envelopes.bridge import FIRST_PARTY, Bridge
from translate.envelopes.envelope import Envelope, Location
from translate.messages.dialect import MESSAGES

VERSION = "vertex-2023-10-16"

_SAME = (
    "claude-code-20250219", "computer-use-2025-01-24", "computer-use-2025-11-24", "interleaved-thinking-2025-05-14",
    "context-1m-2025-08-07", "context-management-2025-06-27", "compact-2026-01-12", "compact-2026-09-04",
    "tool-search-tool-2025-10-19", "web-search-2025-03-05", "per-turn-control-2026-07-01",
    "thinking-binding-controls-2026-08-01", "thinking-display-updates-2026-08-18", "dangerous-tool-use-2026-09-03",
    "token-counting-2024-11-01",
)  # fmt: skip
BRIDGE = Bridge(
    betas={name: name for name in _SAME} | {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"},
    fields=FIRST_PARTY,
    tool_fields=("eager_input_streaming",),
    cache_fields=("scope",),
)


def _path(task: str, model: str, streams: bool, location: Location) -> str:
    verb = "streamRawPredict" if streams else "rawPredict"
    name = "count-tokens" if task else quote(model, safe="!$&'()*+,=:@")
    project, region = (quote(part, safe="!$&'()*+,;=:@") for part in location)
    return f"projects/{project}/locations/{region}/publishers/anthropic/models/{name}:{verb}"


VERTEX = Envelope(name="vertex", dialect=MESSAGES, path=_path, version=VERSION, left={"": ("model",)}, bridge=BRIDGE)
