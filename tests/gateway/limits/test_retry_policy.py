"""The retry policy: the table of decisions over every status and failure, and what it never does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.limits import retry_policy
from translate.failures.errors import KINDS as ERRORS
from translate.failures.errors import ApiError
from upstream import failure as failures
from upstream.failure import Failure

POLICY = retry_policy.Policy(max_attempts=3, backoff=0.5, max_backoff=8, max_retry_after=10)
OWN_KINDS = {"first_byte_timeout", "idle_timeout", "total_timeout", "pool_exhausted", "cancelled_by_pool", "internal",
             "tls_timeout", "certificate"}  # fmt: skip
FAILURES = sorted(set(failures.KINDS.values()) | OWN_KINDS)

# Where a request that ended so may be sent again: nowhere, at another target, anywhere.
BY_STATUS = dict.fromkeys(range(400, 600), "nowhere")
BY_STATUS |= dict.fromkeys((408, 409, 425, 429, 502, 503, 504, 529, *range(520, 528), 530), "anywhere")
BY_STATUS |= dict.fromkeys((401, 402, 403, 404, 508), "elsewhere")
del BY_STATUS[421]  # anywhere, but on a new connection: it has a test of its own

BY_FIRST_EVENT = {
    "invalid_request": "nowhere", "context_overflow": "elsewhere", "authentication": "elsewhere",
    "billing": "elsewhere", "permission": "elsewhere", "not_found": "elsewhere", "timeout": "anywhere",
    "conflict": "anywhere", "too_large": "nowhere", "rate_limit": "anywhere", "api": "anywhere",
    "upstream": "anywhere", "overloaded": "anywhere",
}  # fmt: skip

BY_FAILURE = dict.fromkeys(FAILURES, "anywhere") | dict.fromkeys(
    ("bad_url", "certificate", "pool_exhausted"), "elsewhere"
)


def error(status: int, kind: str = "") -> ApiError:
    usual = {row[0]: name for name, row in ERRORS.items() if name != "context_overflow"}
    return ApiError(kind or usual.get(status, "api"), "m", status)


def status_outcome(status: int, **more: Any) -> Any:
    return retry_policy.Outcome("status", error(status), **more)


def failure_outcome(kind: str, replayable: bool, **more: Any) -> Any:
    failure = Failure(kind, "host: words", replayable)
    return retry_policy.Outcome("failure", retry_policy.as_error(failure, "up"), failure, **more)


def outcomes() -> Iterator[tuple[str, Any, str]]:
    """(name, outcome, where it may be sent again) of everything that can happen, as the defaults have it."""
    for status, where in BY_STATUS.items():
        yield f"status {status}", status_outcome(status), where
        if where == "nowhere":
            yield f"x-should-retry: true under {status}", status_outcome(status, invites=True), "anywhere"
    for kind in ("overloaded", "rate_limit"):
        for status in (400, 500):
            yield f"{kind} under {status}", retry_policy.Outcome("status", error(status, kind)), "anywhere"
    for kind in FAILURES:
        yield f"{kind}, it may have been worked on", failure_outcome(kind, False), "nowhere"
        if kind != "closed":
            yield f"{kind}, it cannot have been worked on", failure_outcome(kind, True), BY_FAILURE[kind]
    for kind in ERRORS:
        yield f"first event {kind}", retry_policy.Outcome("first event", error(0, kind)), BY_FIRST_EVENT[kind]
    yield "nonsense", retry_policy.Outcome("reply", error(502)), "nowhere"
    yield "refusal", retry_policy.Outcome("refusal", error(0, "invalid_request")), "nowhere"
    yield "status 400, too long", retry_policy.Outcome("status", error(400, "context_overflow")), "elsewhere"
    yield "status 500, too long", retry_policy.Outcome("status", error(500, "context_overflow")), "elsewhere"


ALL = list(outcomes())


class Asked:
    """A budget that counts how often it is asked."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.times = 0

    def __call__(self) -> bool:
        self.times += 1
        return self.answer


def decide(
    outcome: Any, others: int = 0, tries: int = 1, left: float = 100.0, policy: Any = POLICY, fresh: bool = False,
    budget: bool = True, rng: float = 0.5,
) -> tuple[str, float]:  # fmt: skip
    asked = Asked(budget)
    decision = retry_policy.decide(
        policy, outcome, retry_policy.Chances(tries, others, asked, fresh), left, lambda: rng
    )
    assert asked.times <= 1
    retried = decision.act == "again" and (fresh or not outcome.stale)
    assert asked.times == retried or not budget, "taken only where it is used"
    assert decision.act != "give up" or decision.why
    assert decision.wait == 0 or decision.act == "again"
    return decision.act, decision.wait


def test_every_kind_of_error_has_a_row() -> None:
    assert set(BY_FIRST_EVENT) == set(ERRORS)
    assert not failures.UNSENT - set(FAILURES)


@pytest.mark.parametrize("where", ["nowhere", "elsewhere", "anywhere"])
def test_every_outcome_leads_to_its_decision(where: str) -> None:
    """Over every outcome, with others left or none, tries, time, budget, and what the upstream asks for."""
    for name, plain, wanted in ALL:
        if wanted != where:
            continue
        tries_made = (1, 2, 3, 9) if where == "anywhere" else (1,)
        for others, tries, left, budget, asks, out in itertools.product(
            (0, 2), tries_made, (-1.0, 0.0, 4.0, 100.0), (True, False), (None, 0.0, 5.0, 10.0, 10.1), (0, 1)
        ):
            outcome = structs.replace(plain, retry_after=asks, keep_out=bool(out))
            act, wait = decide(outcome, others, tries, left, budget=budget)
            case = (name, others, tries, left, budget, asks, out)
            if where == "nowhere" or left <= 0:
                assert act == "give up", case
            elif others:
                assert act == "next", case
            elif where == "elsewhere" or out or tries >= 3 or not budget or (asks or 0) > min(10, left):
                assert act == "give up", case
            else:
                assert act == "again" and wait == max(asks or 0.0, 0.25 * 2 ** (tries - 1)) < left, case


def test_what_may_have_been_worked_on_is_never_sent_again() -> None:
    """Whatever libcurl says: nothing of it had left, or it is known not to have been worked on."""
    flags = (False, True)
    for errno, reused, replied, sent, unworked in itertools.product([*failures.KINDS, 2, 27, 9999], *[flags] * 4):
        failure = failures.from_curl(
            errno, "words", "http://h/", reused=reused, replied=replied, sent=sent, unworked=unworked
        )
        outcome = retry_policy.Outcome("failure", retry_policy.as_error(failure, "up"), failure)
        acts = {decide(outcome, others, fresh=fresh)[0] for others in (0, 1) for fresh in flags}
        if sent and (replied or not unworked):
            assert acts == {"give up"}, (errno, reused, replied, sent)
        elif acts != {"give up"}:
            assert failure.kind in failures.UNSENT or (failure.kind == "closed" and unworked and not replied)


def test_a_connection_that_had_died_is_tried_again_on_a_fresh_one_once() -> None:
    stale = failure_outcome("closed", True)
    assert stale.stale and not stale.is_fault
    for tries, others, budget in itertools.product((0, 1, 9), (0, 2), (True, False)):
        assert decide(stale, others, tries, budget=budget) == ("again", 0.0), "this is no retry"
    assert decide(stale, others=1, fresh=True) == ("next", 0.0)
    assert decide(stale, tries=3, fresh=True) == ("give up", 0.0)
    assert decide(stale, left=0.0) == ("give up", 0.0), "the deadline bounds this too"


def test_a_connection_that_is_the_wrong_one_is_left_for_a_new_one() -> None:
    """421: another may do (RFC 9110, 15.5.20)."""
    misdirected = status_outcome(421)
    assert decide(misdirected, others=2) == ("again", 0.0) and not misdirected.is_fault
    assert decide(misdirected, others=2, fresh=True) == ("next", 0.0)


def test_a_new_connection_that_is_lost_within_the_sending_is_the_upstreams_fault() -> None:
    failure = Failure("closed", "host: words", True, fresh=True)
    lost = retry_policy.Outcome("failure", retry_policy.as_error(failure, "up"), failure)
    assert lost.is_fault and decide(lost, others=1) == ("next", 0.0) and decide(lost)[0] == "again"


@pytest.mark.parametrize(("kind", "status"), [("first_byte_timeout", 504), ("total_timeout", 504), ("closed", 502)])
def test_by_setting_what_may_have_been_worked_on_goes_to_the_next(kind: str, status: int) -> None:
    outcome = failure_outcome(kind, False)
    assert decide(outcome, others=1)[0] == "give up"
    willing = structs.replace(POLICY, also=frozenset({status}))
    assert decide(outcome, others=1, policy=willing) == ("next", 0.0)
    other = structs.replace(POLICY, also=frozenset({500}))
    assert decide(outcome, others=1, policy=other)[0] == "give up"


# --------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("status", [400, 404, 413, 422, 500, 501, 520, 599])
def test_statuses_that_the_settings_add_are_tried_again(status: int) -> None:
    """What the user opts in to is tried again like any other: at another target, and at the same."""
    policy = retry_policy.Policy(also=frozenset({status}))
    assert decide(status_outcome(status), 1, policy=policy)[0] == "next"
    assert decide(status_outcome(status), 0, policy=policy)[0] == "again"
    assert decide(status_outcome(418), 1, policy=policy)[0] == "give up"


def test_also_200_is_nonsense() -> None:
    nonsense = retry_policy.Outcome("reply", error(502))
    assert decide(nonsense, 1)[0] == "give up", "though its error is a 502, the work may have been done"
    assert decide(nonsense, 0, policy=retry_policy.Policy(also=frozenset({200})))[0] == "again"
    assert decide(nonsense, 1, policy=retry_policy.Policy(also=frozenset({502})))[0] == "give up"


@pytest.mark.parametrize("cause", ["status", "first event"])
@pytest.mark.parametrize("on", [True, False])
def test_on_overflow(cause: str, on: bool) -> None:
    outcome = retry_policy.Outcome(cause, error(400, "context_overflow"))
    policy = retry_policy.Policy(on_overflow=on)
    assert decide(outcome, 1, policy=policy)[0] == ("next" if on else "give up")
    assert decide(outcome, 0, policy=policy)[0] == "give up", "it will not become shorter"


def test_on_refusal() -> None:
    refusal = retry_policy.Outcome("refusal", error(0, "invalid_request"))
    policy = retry_policy.Policy(on_refusal=True)
    assert decide(refusal, 1, policy=policy)[0] == "next"
    assert decide(refusal, 0, policy=policy)[0] == "give up"


@pytest.mark.parametrize(
    ("most", "tries", "act"),
    [(1, 1, "give up"), (2, 1, "again"), (2, 2, "give up"), (3, 2, "again"), (3, 3, "give up"), (0, 1, "give up")],
)
def test_max_attempts(most: int, tries: int, act: str) -> None:
    policy = retry_policy.Policy(max_attempts=most)
    assert decide(status_outcome(503), tries=tries, policy=policy)[0] == act
    assert decide(status_outcome(503), 1, tries=tries, policy=policy)[0] == "next", "further targets come on top"


def test_a_long_retry_after_is_told_and_a_short_one_obeyed() -> None:
    outcome = status_outcome(429, retry_after=30.0)
    asked = Asked()
    decision = retry_policy.decide(POLICY, outcome, retry_policy.Chances(1, 0, asked), 100.0)
    assert decision.act == "give up" and "30 s ([retry] max_retry_after)" in decision.why and not asked.times
    assert decide(status_outcome(429, retry_after=2.0)) == ("again", 2.0)
    assert decide(status_outcome(429, retry_after=0.1), rng=1.0) == ("again", 0.5), "nor are 100 ms"
    assert decide(status_outcome(429, retry_after=2.0), left=2.0) == ("give up", 0.0)
    assert decide(status_outcome(429, retry_after=0.0), rng=0.8) == ("again", 0.4), "0 s is no reason to hurry"


@settings(max_examples=40)
@given(st.integers(1, 100_000), st.floats(0, 1), st.floats(1e-3, 60), st.floats(0, 600))
def test_pause_has_full_jitter_up_to_a_bound(tries: int, chance: float, backoff: float, most: float) -> None:
    policy = retry_policy.Policy(backoff=backoff, max_backoff=most)
    bound = min(most, backoff * 2.0 ** min(tries - 1, 1000))
    assert retry_policy.pause(policy, tries, lambda: chance) == pytest.approx(bound * chance)


def test_every_retry_ends() -> None:
    """Whatever an upstream does and however many targets there are: so many tries, and no more."""
    for _, outcome, _ in [*ALL, ("", failure_outcome("closed", True), "")]:
        tries, others, fresh, sent = 1, 4, False, 1
        while True:
            act, _ = decide(outcome, others, tries, fresh=fresh)
            if act == "give up":
                break
            sent += 1
            assert sent <= 1 + 4 + 3 + 5, "each target once, two more tries, a fresh connection for each target"
            if act == "next":
                others, fresh, tries = others - 1, False, tries + 1
            elif outcome.stale and not fresh:
                fresh = True
            else:
                tries += 1


# ----------------------------------------------------------------------------------------- faults, errors


def test_what_speaks_against_an_upstream() -> None:
    """5xx and silence do; what is wrong with the request, the key or the quota does not, nor what is our own doing."""
    faults = {name for name, outcome, _ in ALL if outcome.is_fault}
    assert {name for name in faults if name.startswith("status")} == {
        f"status {status}" for status in range(500, 600) if status != 501
    }
    assert {name for name in faults if name.startswith("first event")} == {
        f"first event {kind}" for kind in ("timeout", "api", "upstream", "overloaded")
    }
    innocent = {"bad_url", "pool_exhausted", "cancelled_by_pool"}
    for kind in FAILURES:
        assert (f"{kind}, it may have been worked on" in faults) == (kind not in innocent)
    assert "nonsense" in faults and not {"refusal", "status 400, too long", "status 500, too long"} & faults


TIMEOUTS = {"connect_timeout", "tls_timeout", "first_byte_timeout", "idle_timeout", "total_timeout"}


@pytest.mark.parametrize("kind", FAILURES)
def test_as_error(kind: str) -> None:
    """Each says which upstream, what happened, and of a timeout which setting bounds it: each its own words."""
    told = retry_policy.as_error(Failure(kind, "host:443: words"), "up")
    assert "'up'" in told.message and "host:443: words" in told.message
    if kind in TIMEOUTS:
        assert (told.kind, told.status) == ("timeout", 504) and "[timeouts]" in told.message
    elif kind == "pool_exhausted":
        assert (told.kind, told.status) == ("overloaded", 503) and told.retry_after
    else:
        assert (told.kind, told.status) == ("upstream", 502)


def test_each_timeout_has_its_own_message() -> None:
    assert len({retry_policy.as_error(Failure(kind, "h"), "up").message for kind in TIMEOUTS}) == len(TIMEOUTS)
