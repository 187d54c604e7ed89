"""What was found, as a table for a person, as JSON for a program, as a badge for a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from conformance.examine import Result

MARKS = {"fault": "FAULT"}
WORDS = {"ok": "ok", "fault": "faults", "not served": "not served", "not tried": "not tried"}
SAID = ("fault", "not served", "not tried")  # with a sentence each
GREEN, AMBER, RED, GREY = "#2e7d32", "#b26a00", "#c62828", "#6b6b6b"
LETTER, PAD, HEIGHT = 6.6, 8, 20  # pixels


def table(results: Sequence[Result]) -> list[str]:
    """A row for each kind, a column for each protocol; then each fault in one sentence."""
    columns = list(dict.fromkeys(result.protocol for result in results))
    kinds = list(dict.fromkeys(result.kind for result in results))
    by_place = {(result.kind, result.protocol): result.outcome for result in results}
    left = max(map(len, kinds)) + 2
    lines = [f"{'':<{left}}" + "".join(f"{name:<12}" for name in columns)]
    for kind in kinds:
        verdicts = [by_place[kind, name].verdict for name in columns]
        lines.append(f"{kind:<{left}}" + "".join(f"{MARKS.get(verdict, verdict):<12}" for verdict in verdicts))
    return [*lines, "", *(line for verdict in SAID for line in _sentences(results, verdict)), summary(results)]


def _sentences(results: Sequence[Result], verdict: str) -> list[str]:
    """What protocols have in common is said once."""
    same: dict[tuple[str, str], list[str]] = {}
    for each in results:
        if each.outcome.verdict == verdict and each.outcome.words:
            same.setdefault((each.kind, each.outcome.words), []).append(each.protocol)
    mark = MARKS.get(verdict, verdict)
    lines = [f"{mark}: {kind} ({', '.join(names)}): {words}" for (kind, words), names in same.items()]
    return [*lines, ""] if lines else []


def summary(results: Sequence[Result]) -> str:
    found = counts(results)
    return ", ".join(f"{found[verdict]} {words}" for verdict, words in WORDS.items())


def counts(results: Sequence[Result]) -> Counter[str]:
    return Counter(result.outcome.verdict for result in results)


def as_json(results: Sequence[Result], facts: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {"protocol": each.protocol, "kind": each.kind, "verdict": each.outcome.verdict, "words": each.outcome.words}
        | ({"problems": each.outcome.problems} if each.outcome.problems else {})
        for each in results
        if each.outcome.verdict != "-"
    ]
    return facts | {"summary": dict(counts(results)), "results": rows}


def badge(results: Sequence[Result]) -> str:
    """An SVG that needs no font and no network of its own."""
    found = counts(results)
    tried = found["ok"] + found["fault"]
    protocols = [name for name in dict.fromkeys(r.protocol for r in results) if _served(results, name)]
    words = f"{found['ok']} of {tried}: {', '.join(protocols)}" if tried else "nothing was served"
    share = found["fault"] / tried if tried else 0
    colour = GREY if not tried else GREEN if not found["fault"] else AMBER if share < 0.2 else RED
    return _svg("LLM protocols", words, colour)


def _served(results: Sequence[Result], protocol: str) -> bool:
    return any(each.protocol == protocol and each.outcome.verdict == "ok" for each in results)


def _svg(left: str, right: str, colour: str) -> str:
    first, second = (round(len(words) * LETTER + 2 * PAD) for words in (left, right))
    left, right = escape(left), escape(right)
    text = f'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" fill="#fff" y="{HEIGHT - 6}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{first + second}" height="{HEIGHT}" role="img" '
        f'aria-label="{left}: {right}"><title>{left}: {right}</title>'
        f'<rect width="{first}" height="{HEIGHT}" fill="#444"/>'
        f'<rect x="{first}" width="{second}" height="{HEIGHT}" fill="{colour}"/>'
        f'<text {text} x="{PAD}" textLength="{first - 2 * PAD}">{left}</text>'
        f'<text {text} x="{first + PAD}" textLength="{second - 2 * PAD}">{right}</text></svg>\n'
    )
