"""run.sh as a person meets it: real runs in folders of their own, beside a proxy.py that only prints.

No network: the one package that the made-up requirements name is a wheel made here, which pip finds in a
folder. The PATH holds links to just the tools that run.sh names, and the Pythons a test wants there; old and
crippled ones are scripts around the real one. One virtual environment is made for all (seconds of work) and
copied, which also shows that a moved folder goes on working.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import lacking
from tests.support.waiting import until

RUN_SH = Path(__file__).resolve().parent.parent / "run.sh"
TOOLS = (
    *("bash", "basename", "cat", "cut", "dirname", "env", "flock", "grep", "id", "mkdir", "readlink", "rm"),
    *("sed", "sha256sum", "shasum", "cksum", "sleep", "tail"),
)
PROXY = """\
import os
import sys
import greeting
print("proxy", greeting.WORD, *sys.argv[1:], sep="|")
print("prefix", sys.prefix)
print("open", [fd for fd in range(3, 64) if os.path.exists(f"/proc/self/fd/{fd}")
               and os.readlink(f"/proc/self/fd/{fd}").endswith(".lock")])
"""


def make_wheel(folder: Path, version: str) -> str:
    """Write greeting-VERSION, a package of one module, into the folder; returns its line of requirements."""
    folder.mkdir(exist_ok=True)
    info = f"greeting-{version}.dist-info"
    files = {
        "greeting.py": f"WORD = 'hello-{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{name},{_record_hash(text)},{len(text)}\n" for name, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    path = folder / f"greeting-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return f"greeting=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _record_hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def pretend(path: Path, before: str) -> Path:
    """A Python at `path` that runs one statement before what `-c` gives it, and makes no environments."""
    code = f"import sys; {before}; exec(sys.argv[1])"
    return script(path, f'[ "$1" = -c ] || exit 3\nexec "{sys.executable}" -c "{code}" "$2"')


class Project:
    """A folder with run.sh, requirements.txt, proxy.py, and the PATH that its runs see (`bin`)."""

    def __init__(self, root: Path, wheels: Path, requirements: str) -> None:
        self.root, self.wheels = root, wheels
        self.bin = root.parent / f"{root.name}-bin"
        root.mkdir(parents=True, exist_ok=True)
        self.bin.mkdir()
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        shutil.copy(RUN_SH, root / "run.sh")
        (root / "proxy.py").write_text(PROXY)
        (root / "requirements.txt").write_text(requirements)
        (root / "requirements-dev.txt").write_text("-r requirements.txt\n")

    def __repr__(self) -> str:
        return f"<Project {self.root} pythons={sorted(p.name for p in self.bin.glob('python*'))}>"

    def python(self, name: str = "python3") -> Project:
        """Put the real Python on the PATH under this name."""
        script(self.bin / name, f'exec "{sys.executable}" "$@"')
        return self

    def environment(self, **extra: str) -> dict[str, str]:
        base = {"PATH": str(self.bin), "HOME": str(self.bin), "LC_ALL": "C", "PIP_CONFIG_FILE": os.devnull}
        return base | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)} | extra

    def run(self, *args: str, via: Path | None = None, cwd: Path | None = None, **extra: str) -> Result:
        ended = subprocess.run(
            [str(via or self.root / "run.sh"), *args],
            env=self.environment(**extra),
            cwd=cwd or self.bin,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        return Result(ended.returncode, ended.stdout, ended.stderr)

    def log(self) -> str:
        return (self.root / "logs" / "install.log").read_text()

    @property
    def site_packages(self) -> Path:
        return next((self.root / ".venv" / "lib").glob("python*/site-packages"))


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"<Result {self.code}\n--- out\n{self.out}\n--- err\n{self.err}>"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """(folder of wheels, the requirement of version 1, of version 2)"""
    folder = tmp_path_factory.mktemp("wheels")
    return folder, make_wheel(folder, "1"), make_wheel(folder, "2")


@pytest.fixture(scope="module")
def first_start(tmp_path_factory, wheels) -> tuple[Project, Result]:
    """A project in a path with a space, and what its first start, by a symlink, said. Only to be read."""
    place = tmp_path_factory.mktemp("first")
    made = Project(place / "a proxy's folder", wheels[0], wheels[1]).python()
    link = place / "link"
    link.symlink_to(made.root / "run.sh")
    deeper = place / "link to link"
    deeper.symlink_to("link")
    return made, made.run("--port", "1 2", "*", via=deeper, cwd=place)


@pytest.fixture
def fresh(tmp_path, wheels) -> Project:
    """A project that was never started, with no Python on its PATH."""
    return Project(tmp_path / "p", wheels[0], wheels[1])


@pytest.fixture
def made(tmp_path, wheels, first_start) -> Project:
    """A project that was started before, in another place; with Python on its PATH."""
    project = Project(tmp_path / "moved here", wheels[0], wheels[1]).python()
    shutil.copytree(first_start[0].root / ".venv", project.root / ".venv", symlinks=True)
    return project


# --- starting -----------------------------------------------------------------------------------------


def test_the_first_start_makes_the_environment_and_starts_the_proxy(first_start):
    project, result = first_start
    assert result.code == 0, result
    assert "proxy|hello-1|--port|1 2|*" in result.out
    assert f"prefix {project.root}/.venv" in result.out
    assert "Making .venv with" in result.err and "Installing" in result.err
    assert "Successfully installed greeting-1" in project.log()


def test_the_running_proxy_does_not_hold_the_lock(first_start):
    assert "open []" in first_start[1].out


def test_a_second_start_calls_no_pip_and_no_other_python(made):
    shutil.rmtree(made.site_packages / "pip")
    (made.bin / "python3").unlink()
    result = made.run("--help")
    assert result.code == 0, result
    assert "proxy|hello-1|--help" in result.out
    assert result.err == ""
    assert not (made.root / "logs").exists()


def test_changed_requirements_are_installed(made, wheels):
    (made.root / "requirements.txt").write_text(wheels[2])
    assert "proxy|hello-2" in made.run().out
    assert "Making" not in made.run().err


def test_an_interrupted_install_is_done_again(made, wheels):
    (made.root / "requirements.txt").write_text(wheels[2])
    # pip, as run.sh calls it, that says where it is and waits for the blow
    started = made.root / "started"
    main = made.site_packages / "pip" / "__main__.py"
    kept = main.read_text()
    main.write_text(f"import time\nopen({str(started)!r}, 'w').close()\ntime.sleep(60)\n")
    running = subprocess.Popen(
        [str(made.root / "run.sh")],
        env=made.environment(),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    until(started.exists, 30)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    main.write_text(kept)
    (made.root / "requirements.txt").write_text(wheels[1])  # even when it fits what was there before
    result = made.run()
    assert "Installing" in result.err, result
    assert "proxy|hello-1" in result.out


@lacking.program("flock", "util-linux")  # run.sh does without
def test_concurrent_first_starts_install_once(made):
    for stamp in (made.root / ".venv").glob(".stamp-*"):
        stamp.unlink()
    calls = made.root / "calls"
    main = made.site_packages / "pip" / "__main__.py"
    count = f"open({str(calls)!r}, 'a').write('x')\nimport time; time.sleep(0.3)\n"
    main.write_text(count + main.read_text())
    command = [str(made.root / "run.sh")]
    several = [
        subprocess.Popen(command, env=made.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in several]
    assert all(b"proxy|hello-1" in output for output in outputs), outputs
    assert calls.read_text() == "x"


# --- broken environments ------------------------------------------------------------------------------


def test_an_environment_whose_interpreter_is_gone_is_made_anew(made):
    for link in (made.root / ".venv" / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nowhere/python3")
    result = made.run()
    assert result.code == 0, result
    assert "will not do; making a new one" in result.err
    assert "proxy|hello-1" in result.out


def test_a_half_made_environment_is_made_anew(made):
    (made.root / ".venv" / ".half-made").touch()
    (made.root / ".venv" / ".stamp-run").unlink()
    (made.root / ".venv" / "remains").touch()
    pretend(made.bin / "python3", "pass")  # fails to make another; that it is asked to is enough here
    result = made.run()
    assert "making .venv failed" in result.err, result
    assert not (made.root / ".venv").exists()


def test_another_python_by_name_makes_another_environment(made):
    newer = pretend(made.root / "python3.99", "sys.version_info = (3, 99, 0)")
    result = made.run(PYTHON=str(newer))
    assert f"Making .venv with {newer}" in result.err, result


# --- what goes wrong, in words ------------------------------------------------------------------------


def test_no_python_at_all(fresh):
    result = fresh.run()
    assert result.code == 1
    assert "no Python was found on the PATH" in result.err
    assert "apt install python3" in result.err
    assert not (fresh.root / ".venv").exists()


def test_python_too_old(fresh):
    old = pretend(fresh.bin / "python3", "sys.version_info = (3, 9, 2)")
    result = fresh.run()
    assert result.code == 1
    assert f"Python 3.11 or newer is needed; {old} is Python 3.9.2" in result.err
    assert "PYTHON=/path/to" in result.err


def test_a_named_python_that_will_not_do(fresh):
    old = pretend(fresh.python().root / "my python", "sys.version_info = (2, 7, 18)")
    result = fresh.run(PYTHON=str(old))
    assert result.code == 1
    assert f"PYTHON={old} will not do: {old} is Python 2.7.18" in result.err


def test_python_without_venv(fresh):
    crippled = pretend(fresh.bin / "python3", "sys.modules['ensurepip'] = None")
    result = fresh.run()
    assert result.code == 1
    assert f"{crippled} (Python " in result.err
    assert "cannot make virtual environments" in result.err
    assert "apt install python3-venv" in result.err
    assert not (fresh.root / ".venv").exists()


def test_a_venv_that_fails_half_way_leaves_nothing_and_says_why(fresh):
    script(
        fresh.bin / "python3",
        f'[ "$1" = -c ] && exec "{sys.executable}" "$@"\n'
        'mkdir "$4/bin"; echo "The virtual environment was not created successfully because ensurepip is not'
        ' available."; exit 1',
    )
    result = fresh.run()
    assert result.code == 1
    assert "apt install python3-venv" in result.err
    assert not (fresh.root / ".venv").exists()


def test_a_python_that_can_is_taken_before_a_newer_one_that_cannot(fresh):
    pretend(fresh.bin / "python3.13", "sys.modules['ensurepip'] = None")
    pretend(fresh.bin / "python3.12", "sys.version_info = (3, 10, 1)")
    script(fresh.bin / "python3.11", f'[ "$1" = -c ] && exec "{sys.executable}" "$@"; echo chosen; exit 1')
    result = fresh.run()
    assert "making .venv failed: chosen" in result.err
    assert f"with {fresh.bin}/python3.11" in result.err


def test_no_network(made, wheels):
    (made.root / "requirements.txt").write_text(wheels[2])
    nowhere = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": ""}
    result = made.run(PIP_RETRIES="1", **nowhere)
    assert result.code == 1
    assert "no network, or the package index cannot be reached" in result.err
    assert "https_proxy=" in result.err and "PIP_INDEX_URL=" in result.err
    assert len(result.err.splitlines()) < 15
    assert "127.0.0.1" in made.log()
    assert "proxy|hello-2" in made.run().out  # and the next start does it


def test_a_package_with_another_hash_is_not_installed(made, wheels):
    (made.root / "requirements.txt").write_text(wheels[2][:-5] + "0000\n")
    result = made.run()
    assert result.code == 1
    assert "not the one that was pinned" in result.err
    assert "proxy" not in result.out


def test_a_package_without_a_hash_is_not_installed(made):
    (made.root / "requirements.txt").write_text("greeting==2\n")
    result = made.run()
    assert result.code == 1
    assert "Hashes are required" in result.err
    assert "greeting-2" not in " ".join(path.name for path in made.site_packages.iterdir())


@pytest.fixture
def read_only(wheels) -> Iterator[Project]:
    """A project whose folder its user cannot write to; root's runs are some other user's."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    project = Project(place / "p", wheels[0], wheels[1]).python()
    project.root.chmod(0o555)
    yield project
    project.root.chmod(0o755)
    shutil.rmtree(place)


def test_a_folder_that_cannot_be_written(read_only):
    command = [str(read_only.root / "run.sh")]
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    ended = subprocess.run(
        command, env=read_only.environment(), capture_output=True, text=True, cwd="/", timeout=60, **user
    )
    assert ended.returncode == 1
    assert f"cannot write in {read_only.root}" in ended.stderr
    assert "chown" in ended.stderr


# --- commands -----------------------------------------------------------------------------------------


def test_an_unknown_command_names_those_there_are(fresh):
    result = fresh.run("tset")
    assert result.code == 2
    assert "no command 'tset'" in result.err
    assert "./run.sh test" in result.err and "./run.sh check" in result.err
    assert not (fresh.root / ".venv").exists()


@pytest.mark.parametrize("name", ["check", "test-bundle"])
def test_a_question_about_a_long_command_does_not_start_it(fresh, name):
    asked, wrong = fresh.run(name, "--help"), fresh.run(name, "tests/")
    assert asked.code == 0 and f"./run.sh {name} " in asked.out
    assert wrong.code == 2 and f"'{name}' takes no options" in wrong.err
    assert not (fresh.root / ".venv").exists()


@pytest.mark.parametrize("words", [[], ["--check-config"], ["test"]])
def test_another_shell_says_what_to_type(fresh, words):
    shell = next((path for name in ("dash", "busybox", "mksh") if (path := shutil.which(name))), None)
    if shell is None:
        pytest.skip("every shell here is a bash (Debian: apt install dash)")
    call = [shell, "sh"] if shell.endswith("busybox") else [shell]
    done = subprocess.run([*call, str(fresh.root / "run.sh"), *words], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "type  ./run.sh" in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == "" and not (fresh.root / ".venv").exists()


def test_the_program_without_its_packages_says_what_to_type():
    """As with `python3 proxy.py`, where python3 is not the environment's."""
    done = subprocess.run(
        [sys.executable, "-S", str(RUN_SH.parent / "proxy.py"), "--version"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1 and "type  ./run.sh  in this folder" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


def test_doctor_passes_all_on(made):
    assert "|doctor|openai|--yes" in made.run("doctor", "openai", "--yes").out


def test_test_installs_its_own_needs_and_passes_options_on(made, wheels):
    (made.root / "requirements-dev.txt").write_text(wheels[2])
    stand_in = "import os, sys\nprint('pytest', os.getcwd(), *sys.argv[1:])\n"
    (made.site_packages / "pytest.py").write_text(stand_in)
    (made.root / "requirements.txt").write_text("")
    result = made.run("test", "-k", "a b")
    assert f"pytest {made.root} -k a b" in result.out, result
    assert "Installing what requirements-dev.txt names" in result.err
    assert made.run("test").err == ""


def test_check_runs_all_and_fails_if_one_does(made):
    for name, code in {"ruff": 0, "mypy": 1, "pytest": 0}.items():
        (made.site_packages / f"{name}.py").write_text(f"print('{name} ran')\nraise SystemExit({code})\n")
    (made.root / "bundle").mkdir()
    (made.root / "bundle" / "audit.py").write_text("print('audit ran')")
    result = made.run("check")
    assert result.code == 1
    # The rules of ruff and its format; mypy for Linux and for macOS.
    ran = ["ruff ran", "ruff ran", "mypy ran", "mypy ran", "pytest ran", "audit ran"]
    assert [line for line in result.out.splitlines() if line] == ran
    assert "check failed: mypy" in result.err
    (made.site_packages / "mypy.py").write_text("")
    assert made.run("check").code == 0
