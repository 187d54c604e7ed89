"""Plays the incident and asks the logs.

    python -m tests.incident [--times 3] [--folder FOLDER]

Exit code 0: each question was answered with what has happened.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.incident import judgement, scene
from tests.incident.questions import QUESTIONS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.incident", description="plays an incident, asks its logs")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="how often each thing happens (default: 3)")
    parser.add_argument("--folder", type=Path, help="where settings and logs are left (default: a folder that goes)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        played = scene.play(folder, options.times)
        for question in QUESTIONS:
            print(f"\n{question.words}\n  {question.line}")
            for row in question.answer(played.folder):
                print(f"    {json.dumps(row)}")
        wrong = judgement.wrong(played)
    print("\n" + ("\n".join(f"WRONG: {each}" for each in wrong) or "Each answer is what has happened."))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
