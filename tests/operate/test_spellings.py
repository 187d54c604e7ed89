"""An upstream's own key in what it says: masked however it is written, and nothing else is."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.passing.clean_lines import CleanLines
from operate.logs import spellings
from operate.logs.spellings import Spellings, _unescaped

KEY = "sk-ant-api03-Zq7/x+9=AbC0123456789-qrsTUV"
FORMS = {
    "plain": KEY,
    "JSON": json.dumps({"k": KEY}).replace("/", "\\/"),
    "all escaped": "".join(f"\\u{ord(c):04X}" for c in KEY),
    "some escaped": KEY.replace("-", "\\u002d").replace("/", "\\u002f"),
    "twice in JSON": json.dumps(json.dumps({"k": KEY.replace("-", "\\u002d")})),
    "URL": urllib.parse.quote(KEY, safe=""),
    "all of URL": "".join(f"%{ord(c):02x}" for c in KEY),
    "URL twice": urllib.parse.quote(urllib.parse.quote(KEY, safe=""), safe=""),
    "HTML": KEY.replace("+", "&#43;").replace("=", "&#x3D;").replace("/", "&sol;"),
    "HTML twice": "".join(f"&amp;#{ord(c)};" for c in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64, of user and key": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "base64, of Bearer": base64.urlsafe_b64encode(f"Bearer {KEY}x".encode()).decode(),
    "base64 in JSON": json.dumps(base64.b64encode(f"{KEY}\n".encode()).decode()).replace("/", "\\/"),
    "hex": KEY.encode().hex(),
    "HEX": KEY.encode().hex().upper(),
    "\\x": "".join(f"\\x{ord(c):02x}" for c in KEY),
    "upper case": KEY.upper(),
    "its beginning": KEY[:-6] + "...",
    "its end": "..." + KEY[15:],
    "its middle": KEY[16:-4],
    "cut in two": f"{KEY[:20]} {KEY[20:]}",
}


OTHERS = [f"sk-{number:03}-of-Another-{number * 7919:08x}" for number in range(60)]
SECRETS = {"alone": Spellings([KEY]), "one of many": Spellings([*OTHERS, KEY])}


def parts(text: str) -> set[str]:
    """All that would help somebody: stretches of the key."""
    return {text[at : at + 12] for at in range(len(text) - 11)}


@pytest.mark.parametrize("secrets", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_key_comes_through(form: str, secrets: Spellings) -> None:
    said = secrets.clean(f'{{"error":"bad key: {FORMS[form]} (end)"}}'.encode())
    assert b"[secret]" in said and said.startswith(b'{"error":"bad key: ') and said.endswith(b' (end)"}')
    coded = form.startswith("base64") or form.lower() == "hex"
    left = said if coded else _unescaped(said)[0]
    assert not parts(FORMS[form][:40] if coded else KEY[13:]) & parts(left.decode())


@pytest.mark.parametrize("secrets", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("form", FORMS)
def test_a_reply_that_went_well_is_looked_at_too(form: str, secrets: Spellings) -> None:
    if form != "its middle":
        assert b"[secret]" in secrets.clean_reply(f"you said {FORMS[form]}".encode())
        if FORMS[form].isprintable():
            for _ in range(2):  # the second time the other value is known
                masked = secrets.headers([("server", "x"), ("x-said", f"you said {FORMS[form]}")])
                assert masked[0] == ("server", "x") and "[secret]" in masked[1][1]


@pytest.mark.parametrize("secret", ['pass"word"12"345"678"9ab"cde', "user\\pass\\word\\1234\\5678"])
def test_a_secret_with_quotes_is_masked_in_json(secret: str) -> None:
    said = json.dumps({"error": {"message": f"{secret} is wrong"}}).encode()
    for clean in (Spellings([secret]).clean(said), Spellings([secret]).clean_reply(said)):
        assert b"[secret] is wrong" in clean and secret[4:9] not in json.loads(clean)["error"]["message"]


PIECES = st.builds(
    lambda key, a, b: key[a : a + b], st.sampled_from([*OTHERS, KEY]), st.integers(0, 30), st.integers(1, 40)
)


@given(st.lists(st.one_of(PIECES, st.sampled_from(list(FORMS.values())), st.text(max_size=9)), max_size=9))
def test_many_are_looked_for_like_few(said: list[str]) -> None:
    data = "".join(said).encode("utf-8", "replace")
    for kind in ("clean", "clean_reply"):
        masked = getattr(SECRETS["one of many"], kind)(data)
        with pytest.MonkeyPatch.context() as only:
            only.setattr(SECRETS["one of many"], "_words", frozenset())
            only.setattr(SECRETS["one of many"], "_end_words", frozenset())
            assert masked == getattr(SECRETS["one of many"], kind)(data)


def test_the_values_that_are_known_to_be_clean_are_bounded() -> None:
    secrets = Spellings([KEY])
    for number in range(3 * spellings.MAX_CLEAN):
        said = [("a", f"{number}"), ("b", f"{number:0200}"), ("c", f"c{number}")]
        assert secrets.headers(said) is said
    assert 2 < len(secrets._clean_values) <= spellings.MAX_CLEAN + 2
    assert max(map(len, secrets._clean_values)) <= spellings.MAX_CLEAN_LENGTH


def test_what_repeats_itself_takes_linear_time() -> None:
    """A key of one letter, and a reply of nothing else: each place of it is a piece of the key."""
    many = Spellings(["a" * 40, *OTHERS])
    for secrets in (Spellings(["a" * 40]), many):
        assert b"a" not in secrets.clean(b"a" * 4000).replace(b"secret", b"")

        def steps(size: int, secrets: Spellings = secrets) -> float:
            began = time.process_time()
            secrets.clean(b"a" * size)
            return time.process_time() - began

        assert min(steps(160_000) for _ in range(3)) < 16 * min(steps(40_000) for _ in range(5)) + 0.02


def test_what_is_no_secret_stays_byte_for_byte() -> None:
    secrets = Spellings([KEY, "short"])
    for text in ("", "sk-ant-api03-", "sk-ant-api03-...UV", "plain \\u0041 %41 &amp; short", "\\" * 1000, "%25" * 1000):
        data = text.encode()
        assert secrets.clean(data) is data and secrets.clean_reply(data) is data
    assert Spellings([]).clean(KEY.encode()) == KEY.encode()


@pytest.mark.parametrize("size", [1, 2, 7, 40, 1000])
@pytest.mark.parametrize("form", FORMS)
def test_an_error_that_comes_in_pieces(form: str, size: int) -> None:
    text = FORMS[form].replace('"', "'")
    event = f'event: error\ndata: {{"type":"error","error":{{"message":"bad {text}"}}}}\n\n'.encode()
    stream = b'data: {"hello":"world"}\n\n' + event
    lines = CleanLines(Spellings([KEY]))
    out = b"".join(lines.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + lines.rest()
    assert out == Spellings([KEY]).clean(stream) and b"[secret]" in out


def test_a_stream_is_the_same_and_whole_lines_wait_for_nothing() -> None:
    lines = CleanLines(Spellings([KEY]))
    stream = b"data: one\n\ndata: two\r\n\r\ndata: error three\n\ndata: four"
    assert lines.feed(b"data: one\n\n") == b"data: one\n\n"
    assert b"".join([lines.feed(stream[i : i + 1]) for i in range(len(stream))]) + lines.rest() == stream
    huge = b"data: " + b"x" * 600_000
    assert b"".join([*(lines.feed(huge[i : i + 5000]) for i in range(0, len(huge), 5000)), lines.rest()]) == huge
