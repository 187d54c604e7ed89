"""Conversations that move between protocols lose nothing, mix up nothing, and are valid wherever they go."""

from __future__ import annotations

import random

import pytest

from tests.support.wandering import Wanderer
from translate import dialects
from translate.target import Protocol

TURNS = 6
SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("client", dialects.names())
def test_a_conversation_that_moves(client: Protocol, seed: int) -> None:
    rng, names = random.Random(seed), dialects.names()
    wanderer = Wanderer(client, seed)
    for turn in range(TURNS):
        wanderer.ask()
        for upstream in names:
            assert (turn, upstream, wanderer.problems(upstream)) == (turn, upstream, [])
        answers = rng.choice(names)
        assert (turn, answers, wanderer.turn(answers)) == (turn, answers, [])


def test_the_judge_sees_what_it_should() -> None:
    wanderer = Wanderer("messages", 1)
    wanderer.ask()
    while not wanderer.answers or not wanderer.proofs:
        wanderer.turn("messages")
        wanderer.ask()
    for upstream in dialects.names():
        assert wanderer.problems(upstream) == []
    wanderer.proofs["PROOF7"] = "messages"
    assert wanderer.problems("messages") == ["messages does not get its PROOF7 back"]
    wanderer.history[0]["content"].append({"type": "text", "text": "PROOF7"})
    assert wanderer.problems("chat") == ["chat gets a proof of messages"]
    wanderer.said.append(["userw999w"])
    wanderer.pictures += 1
    assert len(wanderer.problems("responses")) == 3
    for message in wanderer.history:
        message["content"] = [block for block in message["content"] if block["type"] != "tool_result"]
    assert any(" is of None" in problem for problem in wanderer.problems("gemini"))
