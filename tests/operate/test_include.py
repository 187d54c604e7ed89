"""[include]: settings in several files, whose errors say where they are, and whose changes count."""

from __future__ import annotations

from pathlib import Path

import pytest

from operate.settings.file_watch import Source
from operate.settings.load import Settings, SettingsError, load

MAIN = "[upstream up]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n[models]\na = up\n[include]\nfiles = {}\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".ini")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / "main.ini"


def take(main: Path, *options: str, **environ: str) -> Settings:
    return load(main, options, environ)


def why(main: Path, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as error:
        take(main, **environ)
    return [f"{Path(p.file).name}:{p.line} [{p.section}] {p.key}: {p.message}" for p in error.value.problems]


def test_sections_go_on_in_other_files_in_order(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main=MAIN.format("conf.d/*.ini, more.ini") + "[server]\nport = 1\n",
        more="[models]\nd = up\n[server]\nmax_body_mb = 3\n",
    )  # fmt: skip
    (tmp_path / "conf.d").mkdir()
    write(tmp_path / "conf.d", b="[models]\nc = up\n")
    write(tmp_path / "conf.d", a="[models]\nb = up\n[client ann]\nkey = a-client-key-of-some-length\n")
    (tmp_path / "conf.d" / "no.ini~").write_text("nonsense")
    found = take(main)
    assert [rule.pattern for rule in found.models] == ["a", "b", "c", "d"] and found.clients[0].name == "ann"
    assert (found.server.port, found.server.max_body_mb) == (1, 3)
    origins = {value.key: Path(value.origin).name for value in found.values}
    assert origins["max_body_mb"] == "more.ini:4" and origins["b"] == "a.ini:2"
    assert take(main, "server.max_body_mb=9").server.max_body_mb == 9


def test_names_are_relative_to_the_file_that_has_them(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main=MAIN.format("${WHERE}/one.ini"),
        sub__one="[include]\nfiles = two.ini\n[client ann]\nkey = file:key.txt\n",
        sub__two="[models]\nb = up\n",
    )
    (tmp_path / "sub" / "key.txt").write_text("a-client-key-of-some-length")
    found = take(main, WHERE="sub")
    assert [rule.pattern for rule in found.models] == ["a", "b"]
    assert found.clients[0].key == ("a-client-key-of-some-length",)
    assert take(main.with_name("main.ini"), "include.files=").models == found.models[:1]


def test_errors_name_the_file_and_the_line(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main=MAIN.format("one.ini, gone.ini, none-*.ini"),
        one="[server]\nport = x\nprt = 1\n[models]\na = up\nz = nobody\n[include]\nfile = x\n",
    )
    found = why(main)
    assert found[0].startswith("one.ini:2 [server] port: 'x' is not")
    assert found[1].startswith("one.ini:3 [server] prt: unknown key")
    assert found[2].startswith("one.ini:5 [models] a: this key is given twice, first in ") and "main.ini:5" in found[2]
    assert found[3].startswith("one.ini:6 [models] z: ") and found[4].startswith("one.ini:8 [include] file: unknown")
    assert found[5].startswith("main.ini:7 [include] files: ") and "gone.ini: cannot be read" in found[5]
    assert len(found) == 6


@pytest.mark.parametrize(
    ("files", "said"),
    [({"main": MAIN.format("main.ini")}, "main.ini:7"), ({"main": MAIN.format("*.ini")}, "main.ini:7"),
     ({"main": MAIN.format("b.ini"), "b": "[include]\nfiles = c.ini\n", "c": "[include]\nfiles = b.ini\n"}, "c.ini:2")],
)  # fmt: skip
def test_no_file_includes_itself(tmp_path: Path, files: dict[str, str], said: str) -> None:
    (found,) = why(write(tmp_path, **files))
    assert found.startswith(said) and "includes itself" in found


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    main = write(tmp_path, main=MAIN.format("a.ini, [ab].ini"), a="[models]\nx = up\n", b="[models]\ny = up\n")
    assert [rule.pattern for rule in take(main).models] == ["a", "x", "y"]


def saved(source: Source) -> bool:
    return [source.saved() for _ in range(3)].count(True) == 1


def test_included_files_are_watched(tmp_path: Path) -> None:
    main = write(tmp_path, main=MAIN.format("sub/*.ini"), sub__a="[models]\nx = up\n")
    source = Source(str(main))
    source.read()
    assert not saved(source)
    write(tmp_path, sub__a="[models]\nxyz = up\n")
    assert saved(source) and source.read().models[1].pattern == "xyz" and source.whole()
    write(tmp_path, sub__b="[models]\nnew = up\n")
    assert saved(source) and len(source.read().models) == 3
    (tmp_path / "sub" / "a.ini").unlink()
    assert saved(source) and [rule.pattern for rule in source.read().models] == ["a", "new"]


def test_a_file_with_an_error_is_watched_too(tmp_path: Path) -> None:
    main = write(tmp_path, main=MAIN.format("sub/*.ini"), sub__a="[models]\nx = up\n")
    source = Source(str(main))
    source.read()
    write(tmp_path, sub__b="[nonsense]\n")
    assert saved(source)
    with pytest.raises(SettingsError):
        source.read()
    assert not saved(source)
    write(tmp_path, sub__b="[models]\ny = up\n")
    assert saved(source) and len(source.read().models) == 3
