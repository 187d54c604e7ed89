"""Pictures as SVG, without a font or a program of their own: bars of what was measured, and curves.

They are read on white and on black: text and lines have a grey that both show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

INK, PALE = "#6e7781", "#d0d7de"
COLOURS = ("#8c959f", "#0969da", "#bf8700", "#8250df", "#1a7f37", "#cf222e")
TEXT = 'font-family="system-ui,Verdana,DejaVu Sans,sans-serif" font-size="12"'
BAR, GAP, LEFT, WIDTH, HEAD = 16, 10, 180, 860, 48


class Bar(NamedTuple):
    """value: the bar's length. mark: another value on the same line; 0 = none."""

    name: str
    value: float
    mark: float = 0.0


def bars(title: str, groups: Mapping[str, Sequence[Bar]], unit: str) -> str:
    """Groups of bars, each with its name above them. One colour for each name of a bar."""
    names = list(dict.fromkeys(bar.name for group in groups.values() for bar in group))
    most = max((max(bar.value, bar.mark) for group in groups.values() for bar in group), default=1.0) or 1.0
    scale = (WIDTH - LEFT - 90) / most
    y, drawn = HEAD, []
    for group, rows in groups.items():
        drawn.append(_text(8, y + 8, group, weight="bold"))
        y += BAR
        for bar in rows:
            colour = COLOURS[names.index(bar.name) % len(COLOURS)]
            drawn.append(_text(LEFT - 8, y + 12, bar.name, anchor="end"))
            drawn.append(_rect(LEFT, y, bar.value * scale, BAR, colour))
            if bar.mark:
                drawn.append(f'<path d="M{LEFT + bar.mark * scale:.1f} {y}v{BAR}" stroke="{colour}" stroke-width="2"/>')
            end = LEFT + max(bar.value, bar.mark) * scale + 6
            drawn.append(_text(end, y + 12, f"{bar.value:.3g} {unit}"))
            y += BAR + 3
        y += GAP
    return _svg(title, WIDTH, y + 8, drawn)


class Curve(NamedTuple):
    name: str
    points: tuple[tuple[float, float], ...]


def curves(title: str, of: Sequence[Curve], x_name: str, y_name: str) -> str:
    """Both axes are logarithmic, so that what is linear is a straight line at 45 degrees; a dotted one shows that."""
    width, left, top, legend = 640, 80, HEAD, 16 * ((len(of) + 1) // 2)
    height, bottom = 390 + legend, 50 + legend
    xs = [x for curve in of for x, _ in curve.points if x > 0]
    ys = [y for curve in of for _, y in curve.points if y > 0]
    low_x, high_x = _decades(xs)
    low_y, high_y = _decades(ys)

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low_x) / (high_x - low_x)
        up = (math.log10(y) - low_y) / (high_y - low_y)
        return left + across * (width - left - 20), height - bottom - up * (height - bottom - top)

    drawn = []
    for power in range(low_x, high_x + 1):
        x, y = at(10**power, 10**low_y)
        drawn += [_line(x, top, x, y), _text(x, y + 16, _power(power), anchor="middle")]
    for power in range(low_y, high_y + 1):
        x, y = at(10**low_x, 10**power)
        drawn += [_line(x, y, width - 20, y), _text(x - 6, y + 4, _power(power), anchor="end")]
    drawn += [_text((left + width) / 2, height - legend - 14, x_name, anchor="middle"), _text(8, top - 8, y_name)]
    drawn.append(_linear(of, at))
    for number, curve in enumerate(of):
        colour = COLOURS[(number + 1) % len(COLOURS)]
        places = [at(x, y) for x, y in curve.points if x > 0 and y > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        x, y = left + 260 * (number % 2), height - legend + 16 * (number // 2)
        drawn += [_rect(x, y - 2, 10, 10, colour), _text(x + 16, y + 7, curve.name)]
    return _svg(title, width, height, drawn)


def _linear(of: Sequence[Curve], at: object) -> str:
    """A dotted line through the last point of the first curve, along which the cost grows like the size."""
    assert callable(at)
    points = [point for point in of[0].points if point[0] > 0 and point[1] > 0]
    if len(points) < 2:
        return ""
    (first_x, _), (last_x, last_y) = points[0], points[-1]
    x, y = at(first_x, last_y * first_x / last_x)
    end_x, end_y = at(last_x, last_y)
    bottom = at(first_x, min(y for curve in of for _, y in curve.points if y > 0))[1] + 40
    if y > bottom:  # only the part that is on the page
        x, y = end_x - (end_x - x) * (bottom - end_y) / (y - end_y), bottom
    return f'<path d="M{x:.1f} {y:.1f}L{end_x:.1f} {end_y:.1f}" stroke="{INK}" stroke-dasharray="2 4" fill="none"/>'


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _power(power: int) -> str:
    value = 10.0**power
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _text(x: float, y: float, words: str, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text {TEXT} fill="{INK}" {place}>{escape(words)}</text>'


def _rect(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" fill="{colour}"/>'


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}" stroke="{PALE}" stroke-opacity="0.6"/>'


def _svg(title: str, width: float, height: float, drawn: Sequence[str]) -> str:
    words = escape(title)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    title_line = _text(8, 20, title, weight="bold")
    return "\n".join([f'{head} role="img" aria-label="{words}"><title>{words}</title>', title_line, *drawn, "</svg>\n"])
