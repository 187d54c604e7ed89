"""Bytes that nobody would send, many of them: every reader gives what it promises, or refuses in its own words.

    ./run.sh fuzz [--runs N] [--target NAME]... [--seed N]

targets.py has the readers, seeds.py what they begin with, mutate.py what becomes of it, engine.py the loop. Where
atheris is installed, `--atheris` lets it choose the inputs instead, by what the code does with them.
"""
