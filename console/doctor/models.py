"""Asks an upstream what costs nothing: its models, of which one is chosen, and further protocols."""

from __future__ import annotations

import re

from console.doctor.findings import Finding, shortened
from console.doctor.line import Heard, Line
from gateway.routing.known_models import read_list
from gateway.routing.listing import PATIENCE
from gateway.routing.upstreams import LiveUpstream
from operate.settings.load import Settings
from translate import dialects
from translate.json import wire

MAX_SHOWN = 6
_NO_CHAT = re.compile(
    r"embed|whisper|tts|dall-e|image|audio|realtime|transcri|moderation|rerank|speech|sora|veo|imagen|instruct|search"
    r"|davinci|babbage|guard|ocr|lyria|robotics|computer-use|deep-research|demo-.+",
    re.I,
)
_SMALL = re.compile(r"nano|mini|haiku|flash|lite|small|tiny|\b[1-9]b\b", re.I)


async def listed(line: Line) -> tuple[Finding, list[str], str]:
    """Asks for the list of models -> (finding, names, Server header)."""
    upstream = line.upstream
    if not upstream.models_url:
        return Finding("models", "so-so", "it is not asked for a list (list_models = false)"), [], ""
    heard = await line.exchange(upstream.lists_in.name, upstream.models_url, None, PATIENCE)
    server = next((value for name, value in heard.headers if name == "server"), "")
    return *_judged(heard, upstream), server


def _judged(heard: Heard, upstream: LiveUpstream) -> tuple[Finding, list[str]]:
    if heard.failure is not None:
        return Finding("models", "no", shortened(heard.failure.message)), []
    if heard.status in (401, 403):
        return Finding("models", "no", f"it answered {heard.status}; check its api_key"), []
    try:
        names = [model.id for model in read_list(wire.loads(heard.body), upstream.name)] if heard.status == 200 else []
    except ValueError:
        names = []
    if not names:
        return Finding(
            "models", "so-so", f"it has no list (it answered {heard.status}), so /v1/models cannot show its models"
        ), []
    shown = ", ".join(shortened(name, 60) for name in names[:MAX_SHOWN])
    return Finding("models", "ok", f"{len(names)}: {shown}{', ...' if len(names) > MAX_SHOWN else ''}"), names


async def unclaimed(line: Line) -> list[Finding]:
    """Finds further protocols that it seems to speak: it refuses an empty request, but not with a 404. No model works
    on such a request."""
    upstream = line.upstream
    others = [dialect for dialect in dialects.every() if dialect.name not in upstream.settings.protocol]
    if upstream.settings.api_version or not upstream.models_url:
        return []  # Azure's older addresses need a deployment, and so do some clouds' a model
    found = []
    for other in others:
        heard = await line.exchange(other.name, upstream.urls[other.path], b"{}", PATIENCE)
        if heard.status in (400, 422, 500) and heard.body.lstrip()[:1] in (b"{", b"["):
            found.append(other.name)
    words = f"it seems to speak {' and '.join(found)} too; add this to protocol, and run the doctor again"
    return [Finding("more protocols", "so-so", words)] if found else []


def chosen(settings: Settings, upstream: str, names: list[str]) -> str:
    """The model to ask: one of the settings, if the upstream has it or has no list; else a small one of its list. "" if
    none is known."""
    targets = [(rule, target) for rule in settings.models for target in rule.targets if target.upstream == upstream]
    own = [target.model or ("" if rule.glob else rule.pattern) for rule, target in targets]
    aliases = [*settings.aliases.map_json.values(), settings.aliases.small_model, settings.aliases.big_model]
    own += [name.removeprefix(f"{upstream}/") for name in aliases if name.startswith(f"{upstream}/")]
    for name in own:
        if name and (not names or name in names):
            return name
    able = [name for name in names if not _NO_CHAT.search(name)]
    return next((name for name in able if _SMALL.search(name)), able[0] if able else "")
