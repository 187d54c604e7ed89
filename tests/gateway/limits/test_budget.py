"""What clients may spend by day and month: sums, turns of the day, and the words of the refusal."""

from __future__ import annotations

import calendar

import pytest

from gateway.limits.budget import Bounds, Budgets, Spent
from translate.failures.errors import ApiError

NOON = float(calendar.timegm((2026, 11, 30, 12, 0, 0)))
DAY_S = 86_400
ANN = {"ann": Bounds(usd_per_day=1.0, usd_per_month=3.0, tokens_per_day=1000)}


def budgets() -> Budgets:
    made = Budgets()
    made.adopt(ANN | {"free": Bounds()})
    return made


def refusal(made: Budgets, unix: float = NOON, client: str = "ann") -> ApiError:
    with pytest.raises(ApiError) as caught:
        made.check(client, unix)
    return caught.value


def test_a_day_is_spent_and_the_next_begins_with_nothing() -> None:
    made = budgets()
    made.check("ann", NOON)
    made.spends("ann", 0.99, 10, NOON)
    made.check("ann", NOON)
    made.spends("ann", 0.02, 10, NOON)
    error = refusal(made)
    assert error.status == 429 and error.retry_after == DAY_S / 2 and error.code == "insufficient_quota"
    assert "usd_per_day of $1.00" in error.message and "[client ann]" in error.message
    assert "$1.01 so far" in error.message and "2026-12-01 00:00 UTC" in error.message
    made.check("ann", NOON + DAY_S)


def test_tokens_count_too() -> None:
    made = budgets()
    made.spends("ann", 0.0, 1000, NOON)
    assert "tokens_per_day of 1,000 tokens" in refusal(made).message


def test_a_month_ends_with_the_month() -> None:
    made = budgets()
    first = float(calendar.timegm((2026, 11, 1, 0, 0, 0)))
    for day in range(3):
        made.spends("ann", 1.0, 0, first + day * DAY_S)
    error = refusal(made, first + 3 * DAY_S)
    assert "usd_per_month" in error.message and "2026-12-01 00:00 UTC" in error.message
    made.check("ann", NOON + DAY_S)
    december = float(calendar.timegm((2026, 12, 31, 12, 0, 0)))
    made.spends("ann", 9.0, 0, december)
    assert "2027-01-01" in refusal(made, december + 1).message


def test_who_has_no_bounds_has_none() -> None:
    made = budgets()
    for client in ("free", "nobody"):
        made.spends(client, 1e9, 10**12, NOON)
        made.check(client, NOON)
    assert made.any and not Budgets().any


def test_the_stores_sums_replace_what_was_counted_here() -> None:
    made = budgets()
    made.spends("ann", 0.9, 0, NOON)  # it is in the store's sum by now
    today = "2026-11-30"
    rows = [(today, "ann", Spent(0.95, 5)), ("2026-11-03", "ann", Spent(2.5, 0)), (today, "bob", Spent(9.0))]
    made.told(NOON, rows, since=[("ann", Spent(0.01, 0)), ("bob", Spent(1.0))])
    assert "usd_per_month of $3.00" in refusal(made).message
    made.adopt({"ann": Bounds(usd_per_day=1.0)})
    made.check("ann", NOON)
    made.spends("ann", 0.05, 0, NOON)
    assert "$1.01 so far" in refusal(made).message
    made.told(NOON, [("2026-10-30", "ann", Spent(5.0))])  # of another month
    made.check("ann", NOON)


def test_the_operator_hears_of_four_fifths_once(caplog: pytest.LogCaptureFixture) -> None:
    made = budgets()
    for _ in range(4):
        made.spends("ann", 0.25, 0, NOON)
    (line,) = caplog.records
    assert line.levelname == "WARNING" and "100 % of its usd_per_day" in line.getMessage()
    assert line.__dict__["fields"]["client"] == "ann"


def test_what_is_on_its_way_holds_what_it_may_cost() -> None:
    made = Budgets()
    made.adopt({"ann": Bounds(usd_per_day=1.0), "bob": Bounds(usd_per_day=1.0)})
    most = Spent(0.25, 100)
    for key in ("a", "b", "c", "d"):
        made.hold("ann", key, most, NOON)
    with pytest.raises(ApiError) as caught:
        made.hold("ann", "e", most, NOON)
    error = caught.value
    assert (
        (error.status, error.retry_after) == (429, 2.0)
        and error.code != "insufficient_quota"
        and "usd_per_day" in error.message
    )
    made.hold("bob", "e", most, NOON)
    made.let_go("ann", "a", NOON)  # its record is not made yet
    with pytest.raises(ApiError):
        made.hold("ann", "e", most, NOON)
    made.spends("ann", 0.01, 9, NOON, "a")
    made.hold("ann", "e", most, NOON)
    made.let_go("ann", "b", NOON)
    made.hold("ann", "f", most, NOON + 3)  # that one never got a record
    made.let_go("nobody", "a", NOON)


def test_who_has_nothing_on_its_way_may_go_whatever_it_may_cost() -> None:
    made = Budgets()
    made.adopt({"ann": Bounds(usd_per_day=1.0, tokens_per_month=1000)})
    made.spends("ann", 0.99, 900, NOON)
    for key in ("a", "b"):
        made.hold("ann", key, Spent(50.0, 10**9), NOON)
        with pytest.raises(ApiError):
            made.hold("ann", "other", Spent(), NOON)
        made.let_go("ann", key, NOON)
        made.spends("ann", 0.0, 0, NOON, key)


def test_one_request_holds_a_fourth_at_most() -> None:
    made = Budgets()
    made.adopt({"ann": Bounds(tokens_per_day=1000)})
    for key in "abcd":
        made.hold("ann", key, Spent(0.0, 10**9), NOON)
    with pytest.raises(ApiError):
        made.hold("ann", "e", Spent(), NOON)


def test_what_was_held_for_a_budget_that_was_taken_away_is_not_held_when_it_is_back() -> None:
    made = Budgets()
    made.adopt({"ann": Bounds(usd_per_day=1.0)})
    made.hold("ann", "a", Spent(0.25, 100), NOON)
    made.adopt({})
    made.spends("ann", 0.2, 9, NOON, "a")
    made.adopt({"ann": Bounds(usd_per_day=1.0)})
    made.spends("ann", 0.9, 9, NOON)
    made.hold("ann", "b", Spent(0.25, 100), NOON + DAY_S / 3)
    made.adopt({"ann": Bounds(usd_per_day=1.1)})  # who has one still keeps what is held
    with pytest.raises(ApiError):
        made.hold("ann", "c", Spent(9.0, 100), NOON + DAY_S / 3)
