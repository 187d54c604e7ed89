"""Keys: what becomes of a client's own one is nobody else's matter, and the upstream's is shown to no client."""

from __future__ import annotations

import time

import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, error, house_text, said, says, section

OWN = "forward_client_key = true\n"
BAD = {"Authorization": "Bearer bad"}
GOOD = {"Authorization": "Bearer good"}
SECRET = "sk-secret-0123456789abcdef"


def bad_gets(refusal: Answer) -> object:
    def answer(request: Request) -> Answer:
        return refusal if "bad" in request.headers.get("authorization", "") else says("a")

    return answer


@pytest.mark.parametrize("refusal", [error(401), error(403), error(429), error(429, headers={"retry-after": "60"})])
def test_what_is_said_of_one_clients_key_counts_for_no_other(refusal: Answer) -> None:
    with Upstream(bad_gets(refusal)) as a, Upstream(lambda r: says("b")) as b:  # type: ignore[arg-type]
        with House(house_text("* = a, b", QUICK, a=section(a.url, OWN), b=b.url)) as house:
            assert said(house.post(PATH, ASK, BAD)) == "b"
            assert said(house.post(PATH, ASK, GOOD)) == "a"


def test_nor_does_another_wait_because_of_it() -> None:
    refusal = error(429, headers={"retry-after": "5"})
    with Upstream(bad_gets(refusal)) as up:  # type: ignore[arg-type]
        with House(house_text("* = a", QUICK + "max_attempts = 1\n", a=section(up.url, OWN))) as house:
            assert house.post(PATH, ASK, BAD)[0] == 429
            (place,) = house.on_loop(lambda: list(house.proxy.service.places))
            assert place.usable(time.monotonic()) and place.headroom.free_at == 0
            assert said(house.post(PATH, ASK, GOOD)) == "a"


@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
def test_an_error_under_a_200_that_repeats_the_key_is_masked_too(path: str) -> None:
    refusal = Answer.json({"error": {"message": f"bad key {SECRET}", "type": "invalid_request_error"}})
    with Upstream([refusal]) as up:
        with House(house_text("* = a", a=section(up.url, f"api_key = {SECRET}\n"))) as house:
            status, _, raw = house.post(path, ASK | {"max_tokens": 5})
            assert status >= 400 and b"bad key" in raw and b"sk-secret" not in raw
            assert up.requests[0].headers["authorization"] == f"Bearer {SECRET}"
