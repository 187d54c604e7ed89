"""./run.sh fuzz: so many executions of every reader, or of some. Exit code 0 where nothing was found.

Inputs that found something are kept in --keep, by name; `--replay FILE` runs one again. With --atheris, inputs are
chosen by coverage (libFuzzer); it is for one --target at a time, needs `pip install atheris`, and stops at its first
finding.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

from tests.fuzz import engine, sockets
from tests.fuzz.targets import READERS


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./run.sh fuzz", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--runs", type=int, default=100_000, metavar="N", help="in all (default: 100000)")
    parser.add_argument("--target", action="append", choices=sorted(READERS), metavar="NAME", help="this reader only")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed makes the same inputs")
    parser.add_argument("--keep", type=Path, default=Path("logs/fuzz"), metavar="DIR", help="where findings go")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run this input alone")
    parser.add_argument("--atheris", action="store_true", help="let atheris choose the inputs")
    parser.add_argument("--list", action="store_true", help="name the targets")
    options = parser.parse_args(argv)
    if options.list:
        print("\n".join(READERS))
        return 0
    names = options.target or list(READERS)
    try:
        if options.replay:
            return _replay(names, options.replay.read_bytes())
        if options.atheris:
            return _atheris(names[0], options.runs, options.seed)
        return _all(names, options.runs, options.seed, options.keep)
    finally:
        sockets.close()


def _all(names: list[str], runs: int, seed: int, folder: Path) -> int:
    print(f"seed {seed}, {runs} executions of {len(names)} targets", flush=True)
    total = 0

    def say(finding: engine.Finding) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{finding.target}-{engine.name_of(finding.data)}").write_bytes(finding.data)
        print(finding, flush=True)

    for n, name in enumerate(names):
        share = runs // len(names) + (n < runs % len(names))
        begun = time.monotonic()
        found = engine.fuzz(name, READERS[name], share, seed, say)
        total += found
        print(f"{name:20} {share:8} executions, {found} findings, {time.monotonic() - begun:.0f} s", flush=True)
    return 1 if total else 0


def _replay(names: list[str], data: bytes) -> int:
    findings = [finding for name in names if (finding := engine.counted(name, READERS[name], data)) is not None]
    print("\n".join(map(str, findings)) or "nothing is wrong with it")
    return 1 if findings else 0


def _atheris(name: str, runs: int, seed: int) -> int:
    try:
        import atheris  # type: ignore[import-not-found, unused-ignore]
    except ModuleNotFoundError:
        print("atheris is not installed: pip install atheris, or leave --atheris out", file=sys.stderr)
        return 2
    reader = READERS[name]

    def one(data: bytes) -> None:
        with contextlib.suppress(*reader.ours):
            reader.run(data)

    atheris.instrument_all()
    atheris.Setup(["fuzz", f"-runs={runs}", f"-seed={seed % 2**31}", "-max_len=20000"], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
