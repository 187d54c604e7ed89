"""The lines of [models]: conditions before the `=`, stages of equals after it, and what may not be written there."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operate.settings import conditions
from operate.settings.load import Condition, ModelRule, Settings, SettingsError, TargetRef, Term, read
from operate.settings.model_rules import parse_key, parse_targets

UPSTREAMS = "".join(f"[upstream {name}]\nprotocol = chat\nbase_url = http://{name}\n" for name in "abc")


def take(lines: str, *options: str) -> Settings:
    """Settings with these lines of [models], the first of which is line 2."""
    return read(f"[models]\n{lines}\n{UPSTREAMS}", "settings.ini", options, {"TO": "b/x"})


def fault(lines: str, *options: str) -> str:
    with pytest.raises(SettingsError) as caught:
        take(lines, *options)
    (problem,) = caught.value.problems
    return str(problem)


# Conditions


def yes(name: str, *words: str) -> Term:
    return Term(name, False, words)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("images", [yes("images")]),
        (" images  and tools ", [yes("images"), yes("tools")]),
        ("not thinking and stream", [Term("thinking", True), yes("stream")]),
        ("1m", [yes("1m")]),
        ("class auxiliary", [yes("class", "auxiliary")]),
        ("not class Main | SUBAGENT|my-own_1", [Term("class", True, ("main", "subagent", "my-own_1"))]),
        ("input > 100k", [Term("input", False, op=">", number=100_000)]),
        ("input<1m", [Term("input", False, op="<", number=1_000_000)]),
        ("not input >2.5K", [Term("input", True, op=">", number=2500)]),
        ("input > 0", [Term("input", False, op=">", number=0)]),
        ("input > 5 and input < 9", [Term("input", False, (), ">", 5), Term("input", False, (), "<", 9)]),
        ("tools\tand\tclass android", [yes("tools"), yes("class", "android")]),
        ("class rock-and-roll", [yes("class", "rock-and-roll")]),
    ],
)
def test_conditions_are_read(text: str, terms: list[Term]) -> None:
    assert conditions.parse(text) == Condition(tuple(terms))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "; conditions are class WORD, images, tools, thinking, stream, 1m, input > N, input < N"),
        ("images and", "a condition is missing"),
        ("and images", "a condition is missing"),
        ("not", "'' is not a condition; conditions are class WORD, "),
        ("not not images", "'not images' is not a condition; conditions are"),
        ("image", "'image' is not a condition; did you mean 'images'?"),
        ("Images", "'Images' is not a condition; did you mean 'images'?"),
        ("2m", "'2m' is not a condition; conditions are class WORD, "),
        ("images or tools", "'images or tools' is not a condition; conditions are class WORD, "),
        ("class", "after 'class' comes a word, or several, separated by |, such as main|subagent|"),
        ("class main|", "after 'class' comes a word"),
        ("class main subagent", "after 'class' comes a word"),
        ("class compation", "'compation' is not a known class; did you mean 'compaction'?"),
        ("input", "'input' is not a condition; conditions are class WORD, "),
        ("input >", "comes a number of tokens such as 5000, 100k or 1m"),
        ("input > many", "such as 5000, 100k or 1m, not 'many'"),
        ("input > -5", "not '-5'"),
        ("input > 1e3", "not '1e3'"),
        ("input > 5g", "not '5g'"),
        ("input > ٣", "not '٣'"),
        ("input > " + "9" * 400, "not the value (400 characters, not shown)"),
        ("input 5", "'input 5' is not a condition"),
        ("sk-ant-api03-abc", "the value (16 characters, not shown) is not a condition"),
    ],
)
def test_a_bad_condition_is_told_with_what_there_is(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        conditions.parse(text)
    assert message in str(caught.value)


WORDS = st.sampled_from(
    [*conditions.FACTS, "and", "not", "or", "class", "main|", "input", ">", "<", "5k", "|", "=", "x"]
)


@given(st.one_of(st.lists(WORDS, max_size=8).map(" ".join), st.text(max_size=30)))
def test_any_condition_is_read_or_refused_in_words(text: str) -> None:
    try:
        assert conditions.parse(text).terms
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("key", "pattern", "conditional"),
    [
        ("claude-*", "claude-*", False),
        ("claude-* if images", "claude-*", True),
        ("claude-*\tif\timages", "claude-*", True),
        ("if", "if", False),
        ("what-if", "what-if", False),
        ("iffy if images", "iffy", True),
        ("a b", "a b", False),
        ("a iffy", "a iffy", False),
    ],
)
def test_what_stands_before_the_if_is_the_pattern(key: str, pattern: str, conditional: bool) -> None:
    found, condition = parse_key(key)
    assert (found, condition is not None) == (pattern, conditional)


# Patterns


@pytest.mark.parametrize(
    ("pattern", "glob", "fits", "does_not"),
    [
        ("gpt-4", "", "", ""),
        ("llama3:8b", "", "", ""),
        ("claude-opus-4[1m]", "", "", ""),
        ("o[0-9]", "o[0-9]", "o3", "ox"),
        ("claude-*", "claude-*", "claude-x[1m]", "Claude-x"),
        ("claude-*[1m]", "claude-*[[]1m]", "claude-opus-4[1m]", "claude-opus-4m"),
        ("o[0-9][1m]", "o[0-9][[]1m]", "o3[1m]", "o31"),
        ("a[1m]b", "a[1m]b", "amb", "a[1m]b"),
    ],
)
def test_a_final_1m_is_the_suffix_and_no_class_of_letters(pattern: str, glob: str, fits: str, does_not: str) -> None:
    rule = take(f"{pattern} = a").models[0]
    assert (rule.pattern, rule.glob) == (pattern, glob)
    if glob:
        assert fnmatchcase(fits, glob) and not fnmatchcase(does_not, glob)


# Targets


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("a", [TargetRef("a", None)]),
        ("a/x, b/y/z,c", [TargetRef("a", "x"), TargetRef("b", "y/z", 1), TargetRef("c", None, 2)]),
        (
            "a/x *3 | b/y, c/z",
            [TargetRef("a", "x", 0, 3.0), TargetRef("b", "y", 0, 1.0), TargetRef("c", "z", 1, 1.0)],
        ),
        ("a|b *0.5|c * 10", [TargetRef("a", None), TargetRef("b", None, 0, 0.5), TargetRef("c", None, 0, 10.0)]),
        ("a, b/m:1*2 | c", [TargetRef("a", None), TargetRef("b", "m:1*2", 1), TargetRef("c", None, 1)]),
    ],
)
def test_targets_are_read_in_stages_of_equals(text: str, targets: list[TargetRef]) -> None:
    assert parse_targets(text, "abc") == (tuple(targets), [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the name of an upstream is missing; a target is UPSTREAM or UPSTREAM/MODEL"),
        ("a | , b", "the name of an upstream is missing"),
        ("a || b", "the name of an upstream is missing"),
        ("a, ", "the name of an upstream is missing"),
        ("*2 | b", "there is no upstream '*2'"),
        ("a *2", "'a' has a weight, but no equal to share with; equals are separated by |, not by a comma"),
        ("a/x *2, b", "'a/x' has a weight, but no equal"),
        ("a *0 | b", "the weight after '*' is not a number from 0.01 to 10000"),
        ("a *-1 | b", "the weight after '*'"),
        ("a *nan | b", "the weight after '*'"),
        ("a *1e3 | b", "the weight after '*'"),
        ("a * | b", "the weight after '*'"),
        ("a *99999 | b", "the weight after '*'"),
        ("a *2 *2 | b", "'a *2'"),
        ("d | b", "there is no upstream 'd'; the upstreams are a, b, c"),
        ("a/ | b", "'a/' is not UPSTREAM/MODEL"),
        ("a/x y | b", "'a/x y' is not UPSTREAM/MODEL"),
    ],
)
def test_a_bad_target_is_told(text: str, message: str) -> None:
    _, faults = parse_targets(text, "abc")
    assert len(faults) == 1 and message in faults[0]


def test_every_bad_target_of_a_line_is_told() -> None:
    assert len(parse_targets("d | e, f", "abc")[1]) == 3


# Lines


def rules(settings: Settings) -> list[tuple[str, bool, str, int]]:
    return [(rule.pattern, rule.condition is not None, rule.targets[0].upstream, rule.line) for rule in settings.models]


def test_a_condition_survives_the_files_own_signs() -> None:
    (rule,) = take("claude-* if input > 100k and not class main|workflow = a/x=y").models
    terms = Term("input", False, (), ">", 100_000), Term("class", True, ("main", "workflow"))
    assert rule == ModelRule("claude-*", (TargetRef("a", "x=y"),), 2, Condition(terms))
    line = fault("claude-* if input >= 100k = a")
    assert line.startswith("settings.ini:2: [models] claude-* if input >: after 'input >'")
    assert fault("x if = a").startswith("settings.ini:2: [models] x if: a condition is missing")


def test_a_fault_names_its_line() -> None:
    assert fault("x = a\ny if imges = b").startswith(
        "settings.ini:3: [models] y if imges: 'imges' is not a condition; did you mean"
    )


def test_lines_of_a_pattern_stand_together_and_the_one_for_all_is_last() -> None:
    settings = take("x = a\ny = b\nx if images = b\ny if tools = ${TO}\nx if images and tools = c\nz if 1m = a")
    assert rules(settings) == [
        ("x", True, "b", 4),
        ("x", True, "c", 6),
        ("x", False, "a", 2),
        ("y", True, "b", 5),
        ("y", False, "b", 3),
        ("z", True, "a", 7),
    ]
    assert settings.models[3].targets == (TargetRef("b", "x"),)


@pytest.mark.parametrize(
    ("first", "again"),
    [("x", "x if images"), ("x if images", "x if not images"), ("x if input > 5", "x if input < 5"), ("x", "X")],
)
def test_lines_that_differ_may_stand_beside_each_other(first: str, again: str) -> None:
    assert len(take(f"{first} = a\n{again} = b").models) == 2


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("x if images", "x  if  images"),
        ("x if images and tools", "x if tools and images"),
        ("x if input > 100k", "x if input>100000"),
        ("x if class MAIN", "x if class main"),
    ],
)
def test_a_line_that_could_never_count_is_told(first: str, again: str) -> None:
    assert fault(f"{first} = a\n{again} = b").endswith(
        "has the same pattern and condition as line 2; remove one of them"
    )


def test_an_option_overrules_a_line_however_it_is_spelt() -> None:
    lines = "x if input > 100k = a\nx = a"
    for option in ("models.x if input > 100k=b", "models.x if input>100000=b"):
        settings = take(lines, option)
        assert rules(settings) == [("x", True, "b", 0), ("x", False, "a", 3)]
        shown = [value.text for value in settings.values if value.section == "models"]
        assert shown == ["b", "a"]
    assert rules(take(lines, "models.x if images=c")) == [
        ("x", True, "a", 2),
        ("x", True, "c", 0),
        ("x", False, "a", 3),
    ]


def test_print_config_shows_lines_as_they_are_written() -> None:
    lines = [" ".join(line.split()) for line in take("x if input>5k = a *3 | ${TO}\nx = c").describe()]
    at = lines.index("[models]")
    assert lines[at + 1 : at + 3] == [
        "x if input>5k = a *3 | b/x # settings.ini:2, environment TO",
        "x = c # settings.ini:3",
    ]
