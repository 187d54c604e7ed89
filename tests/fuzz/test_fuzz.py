"""A short run of each target, the same each time; and the engine finds what there is to find."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.fuzz import engine, mutate, seeds, sockets
from tests.fuzz.__main__ import main
from tests.fuzz.targets import READERS, Reader
from translate.failures.errors import BadRequest

COUNTED = 25  # inputs whose calls are counted, too
SEED = 7


@pytest.fixture(autouse=True, scope="module")
def closed() -> Iterator[None]:
    yield
    sockets.close()


@pytest.mark.parametrize("name", READERS)
def test_a_target(name: str) -> None:
    findings: list[engine.Finding] = []
    engine.fuzz(name, READERS[name], 150, SEED, findings.append)
    assert not findings, "\n".join(map(str, findings))


@pytest.mark.parametrize("name", READERS)
def test_its_calls_grow_no_faster_than_its_input(name: str) -> None:
    reader, rng = READERS[name], random.Random(SEED)
    inputs = list(dict.fromkeys(reader.seeds()))
    given = [reader.mutate(rng, rng.choice(inputs), inputs) for _ in range(COUNTED)]
    findings = [found for data in given if (found := engine.counted(name, reader, data)) is not None]
    assert not findings, "\n".join(map(str, findings))


def reader(run: object) -> Reader:
    return Reader(run, lambda: [b'{"a":[1,2,3]}' * 3], mutate.raw)  # type: ignore[arg-type]


def found(run: object, runs: int = 300) -> list[engine.Finding]:
    findings: list[engine.Finding] = []
    engine.fuzz("it", reader(run), runs, SEED, findings.append)
    return findings


def test_the_engine_finds_an_exception_that_is_not_ours() -> None:
    def run(data: bytes) -> None:
        if b"]" not in data:
            raise KeyError("gone")
        raise BadRequest("as it should")

    findings = found(run)
    assert [each.what.partition(" at ")[0] for each in findings] == ["KeyError: 'gone'"]
    assert engine.once("it", reader(run), findings[0].data)[1] == findings[0]


def test_the_engine_finds_what_is_not_linear() -> None:
    def run(data: bytes) -> None:
        for _ in range(len(data)):
            for _ in range(len(data)):
                len(data)

    assert engine.counted("it", reader(run), b"x" * 100) is None
    finding = engine.counted("it", reader(run), b"x" * 400)
    assert finding is not None and "calls for 400 bytes" in finding.what


def test_the_same_seed_makes_the_same_inputs() -> None:
    given: list[list[bytes]] = [[], []]
    for each in given:
        engine.fuzz("it", reader(each.append), 100, SEED, print)
    assert given[0] == given[1]


def test_there_are_seeds_of_every_kind() -> None:
    for name, each in READERS.items():
        assert len(each.seeds()) >= 5, name
    assert all(len(seed) <= seeds.LARGEST for each in READERS.values() for seed in each.seeds())


def test_the_command(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "30", "--target", "sse", "--seed", "1", "--keep", str(tmp_path)]) == 0
    assert "30 executions, 0 findings" in capsys.readouterr().out
