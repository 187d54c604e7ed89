"""Joins the data of several workers into the panels about the whole proxy.

Counts are added; histograms are added before percentiles are computed; of states the worst is shown, because an
upstream whose breaker is open in one worker has a problem.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from console.dashboard import tallies, window
from console.dashboard.window import quantiles
from gateway.pages import status

Said = dict[str, Any]

NOW_S = 60
MAX_CHANGES = 10
MAX_SESSIONS = 200


def now(at: float, buckets: list[Said], standing: list[Said]) -> Said:
    """The panel about the last minute and the present. at: the present time, in seconds since 1970."""
    whole = window.added(bucket for said in buckets for bucket in said["buckets"])
    began = min(said["began"] for said in buckets)
    seconds = max(1.0, min(NOW_S, at - began))
    pool = _sums(said["pool"] for said in standing)
    ended = pool["connections_opened"] + pool["connections_reused"]
    return {
        "time": at,
        "since": began,
        "window_s": round(seconds),
        "requests": whole["requests"],
        "requests_per_s": round(whole["requests"] / seconds, 2),
        "error_share": _share(whole["errors"], whole["requests"]),
        **{name: whole[name] for name in ("client_errors", "server_errors", "refusals")},
        "left": whole["left"],
        "retries": whole["retries"],
        **_times(whole),
        "input_per_s": round(whole["input"] / seconds, 1),
        "output_per_s": round(whole["output"] / seconds, 1),
        "prompt_cache_share": _share(whole["cached"], whole["input"]),
        "streams": sum(said["streams"] for said in standing),
        "open": sum(said["open"] for said in standing),
        "waiting": sum(said["waiting"] for said in standing),
        "turned_away": sum(said["turned_away"] for said in standing),
        "log_lines_lost": sum(said["log_lines_lost"] for said in standing),
        "clients": _sums(said["clients"] for said in standing),
        "pool": pool
        | {
            "limit": sum(said["pool_limit"] for said in standing),
            "reused_share": _share(pool["connections_reused"], ended),
        },
    }


def series(width: float, said: list[Said]) -> list[Said]:
    """One point for each bucket that is not empty, the oldest first."""
    points = []
    for number, bucket in window.by_number(bucket for each in said for bucket in each["buckets"]).items():
        point = {
            "t": number * width,
            "streams_per_s": round(bucket["streamed"] / width, 2),
            "replies_per_s": round((bucket["requests"] - bucket["streamed"]) / width, 2),
            "input_per_s": round(bucket["input"] / width, 1),
            "output_per_s": round(bucket["output"] / width, 1),
            "usd_per_min": round(bucket["usd"] * 60 / width, 6),
        }
        for name in (*window.MOST, "client_errors", "server_errors", "refusals"):
            point[name] = bucket[name]
        for name in window.HISTOGRAMS:
            point[f"{name}_p50"], point[f"{name}_p95"] = quantiles(bucket[name], 0.5, 0.95)
        points.append(point)
    return points


def upstreams(said: list[Said]) -> list[Said]:
    """The upstreams in the order of the settings."""
    names = dict.fromkeys(name for each in said for name in each["upstreams"])
    return [_upstream(name, [each["upstreams"][name] for each in said if name in each["upstreams"]]) for name in names]


def _upstream(name: str, said: list[Said]) -> Said:
    whole = window.added(bucket for each in said for bucket in each.get("buckets", ()))
    on = [each for each in said if "off" not in each]
    counted = {
        "name": name,
        "off": said[0].get("off") if not on else None,
        "tries": whole["requests"],
        "errors": whole["errors"],
        "error_share": _share(whole["errors"], whole["requests"]),
        **_times(whole),
        "output": whole["output"],
    }
    if not on:
        return counted
    places = status.places(place for each in on for place in each["places"])
    return counted | {
        "protocols": on[0]["protocols"],
        "busy": sum(each["busy"] for each in on),
        "limit": sum(each["limit"] for each in on),
        "waiting": sum(each["waiting"] for each in on),
        "drained": next((each["drained"] for each in on if each["drained"]), None),
        "breaker": max((place["breaker"] for place in places), key=status.STATES.index, default="closed"),
        "places": places,
    }


def usage(said: list[Said]) -> Said:
    return {
        "since": min(each["began"] for each in said),
        "models": tallies.added(tally for each in said for tally in each["models"]),
        "clients": tallies.added(tally for each in said for tally in each["clients"]),
    }


def cache(said: list[Said]) -> Said:
    """The sessions; those that several workers have seen are joined."""
    sessions: dict[str, Said] = {}
    for each in said:
        for session in each["sessions"]:
            known = sessions.get(session["session"])
            sessions[session["session"]] = session if known is None else _both(known, session)
    rows = sorted(sessions.values(), key=lambda session: -session["last"])[:MAX_SESSIONS]
    for row in rows:
        row["hit"] = _share(row["cached"], row["prompt"])
    replies = _sums(each["replies"] for each in said)
    return {"parses": any(each["parses"] for each in said), "sessions": rows, "replies": replies or None}


def _both(one: Said, other: Said) -> Said:
    latest = max(one, other, key=lambda session: session["last"])
    changes = sorted([*one["changes"], *other["changes"]], key=lambda change: change["time"])
    sums = {name: one[name] + other[name] for name in ("requests", "looked", "prompt", "cached")}
    return latest | sums | {"changes": changes[-MAX_CHANGES:]}


def _times(whole: Said) -> Said:
    return {f"{name}_ms": _percentiles(whole[name]) for name in window.HISTOGRAMS}


def _percentiles(bins: dict[int, int]) -> Said:
    p50, p95, p99 = quantiles(bins, 0.5, 0.95, 0.99)
    return {"p50": p50, "p95": p95, "p99": p99}


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _sums(said: Iterable[dict[str, float]]) -> dict[str, float]:
    whole: dict[str, float] = {}
    for each in said:
        for name, count in each.items():
            whole[name] = whole.get(name, 0) + count
    return whole
