"""The model's name in a form, however the form is cut; and what two readers could see differently is refused."""

from __future__ import annotations

import pytest

from gateway.relay.form import MOST_HEAD, MOST_NAME, MultipartForm, boundary_of
from translate.failures.errors import BadRequest

FILE = b"abc\r\n--Xy\r\n\r\n\0" * 10


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return b'--XyZ\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name, more, value)


def read(body: bytes, size: int = 1 << 20) -> MultipartForm:
    form = MultipartForm(b"XyZ")
    for at in range(0, len(body), size):
        form.feed(body[at : at + size])
    return form


END = b"--XyZ--\r\n"
SOUND = part(b"file", FILE, b'; filename="a.wav"\r\nContent-Type: audio/wav') + part(b"e", b"")
MODEL = part(b"model", b"whisper-1")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
@pytest.mark.parametrize("body", [SOUND + MODEL + END, MODEL + SOUND + END, b"so\r\n" + SOUND + MODEL + END + b"x"])
def test_the_model_is_found_wherever_it_stands(body: bytes, size: int) -> None:
    form = read(body, size)
    assert form.model == "whisper-1" and body[slice(*form.span)] == b"whisper-1" and form.ended


def test_nothing_of_a_file_is_held() -> None:
    form = read(part(b"file", b"")[:-2])
    for _ in range(100):
        form.feed(bytes(65536))
        assert len(form._held) < 64


@pytest.mark.parametrize("name", [b'model"; filename="x', b"Model", b"models", b"a.model"])
def test_other_fields_are_not_the_model(name: bytes) -> None:
    assert (read(part(name, b"x") + END).model == "x") == name.startswith(b'model"')


@pytest.mark.parametrize(
    "body",
    [
        MODEL + part(b"model", b"another"),
        MODEL + MODEL,
        b"--XyZ\r\nContent-Disposition: form-data; name=model; name=file\r\n\r\nx\r\n",
        b"--XyZ\r\nContent-Disposition: form-data; name*=utf-8''model\r\n\r\nx\r\n",
        b"--XyZ\r\nContent-Disposition: form-data\r\n\r\nx\r\n",
        b"--XyZ\r\nContent-Disposition: attachment; name=model\r\n\r\nx\r\n",
        b"--XyZ\r\nContent-Type: text/plain\r\n\r\nx\r\n",
        b"--XyZ\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=model\r\n\r\nx\r\n",
        b"--XyZ \nContent-Disposition: form-data; name=model\r\n\r\nx\r\n",
        part(b"model", b""),
        part(b"model", b"a\nb"),
        part(b"model", b"\xff"),
        part(b"model", b"x" * (MOST_NAME + 1)),
        b'--XyZ\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + b"x" * 2 * MOST_NAME,
        b"--XyZ\r\nA: " + b"x" * MOST_HEAD,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(body + END)


@pytest.mark.parametrize(
    ("said", "boundary"),
    [("multipart/form-data; boundary=abc", b"abc"), ('multipart/form-data; charset=x; boundary="a b"', b"a b"),
     ("multipart/form-data", None), ("multipart/form-data; boundary=a; boundary=b", None),
     ("multipart/form-data; boundary=", None), (f"multipart/form-data; boundary={'a' * 71}", None)],
)  # fmt: skip
def test_a_boundary_is_found_or_refused(said: str, boundary: bytes | None) -> None:
    if boundary is None:
        with pytest.raises(BadRequest):
            boundary_of(said)
    else:
        assert boundary_of(said) == boundary


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(("values", "pictures"), [([], 1), ([b"4"], 4), ([b"2", b"9"], 9), ([b"no"], 1), ([b""], 1)])
def test_how_many_pictures_are_asked_for(values: list[bytes], pictures: int, size: int) -> None:
    form = read(SOUND + b"".join(part(b"n", value) for value in values) + MODEL + END, size)
    assert (form.pictures, form.model) == (pictures, "whisper-1")
