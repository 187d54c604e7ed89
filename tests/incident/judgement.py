"""Whether the logs' answers are what has happened."""

from __future__ import annotations

from tests.incident.questions import FAILED, FROM, KEYS, SLOW, SPENT
from tests.incident.scene import GOOD, REVOKED, Played


def wrong(played: Played) -> list[str]:
    return [*_spent(played), *_slow(played), *_failed(played), *_key(played), *_from(played)]


def _spent(played: Played) -> list[str]:
    told = {row["client"]: row["usd"] for row in SPENT.answer(played.folder) if row["client"]}
    same = told.keys() == played.usd.keys() and all(abs(told[name] - usd) < 1e-6 for name, usd in played.usd.items())
    return [] if same else [f"{told} were spent, and not {played.usd}"]


def _slow(played: Played) -> list[str]:
    rows = {row["request_id"]: row for row in SLOW.answer(played.folder)}
    if not {played.slow, played.queued} <= rows.keys():
        return [f"{sorted(rows)} were slow, and not {played.slow} and {played.queued}"]
    slow = rows[played.slow], rows[played.queued]
    return [] if all(row["upstream_ms"] > 1000 and row["overhead_ms"] < 500 for row in slow) else [f"{slow}: by whom?"]


def _failed(played: Played) -> list[str]:
    rows = {(row["upstream"], row["key"], row["status"]): row["times"] for row in FAILED.answer(played.folder)}
    found = []
    if rows.get(("alpha", 2, 503), 0) < played.failed:
        found.append(f"alpha has failed {played.failed} times, and the logs say {rows}")
    if not 1 <= rows.get(("alpha", 1, 401), 0) <= 2:  # once for each worker
        found.append(f"the first key of alpha was refused, and the logs say {rows}")
    return found


def _key(played: Played) -> list[str]:
    rows = KEYS.answer(played.folder)
    told = all((row["upstream"], row["key"]) == ("alpha", 1) and f"...{REVOKED[-4:]}" in row["message"] for row in rows)
    whole = any(key in str(row) for row in rows for key in (REVOKED, GOOD))
    return [] if 1 <= len(rows) <= 2 and told and not whole else [f"of the revoked key the logs say {rows}"]


def _from(played: Played) -> list[str]:
    rows = FROM.answer(played.folder)
    expected = [{"from": "127.0.0.1", "agent": "old-script/1.0", "upstream": "", "times": played.knocks}]
    return [] if rows == expected else [f"the 401s came from {rows}, and not from {expected}"]
