"""Files and streams: what is written and what never is, what an instance may read, and streams that are closed or full."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.command import Done, process
from support.instance_text import MARKET, TWO
from support.paths import ROOT

import optmarket as om
from optmarket import files
from optmarket.errors import InstanceError, SolverError

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files and signals")

pytestmark = [posix, pytest.mark.usefixtures("two")]


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


# --- writing ---


def test_a_link_stays_and_its_target_is_written() -> None:
    Path("target").write_text("old")
    os.symlink("target", "link")
    files.write_text("link", "new")
    assert os.readlink("link") == "target" and Path("target").read_text() == "new"
    os.symlink("deep/none-yet", "dangling")
    files.write_text("dangling", "new")
    assert os.path.islink("dangling") and Path("deep/none-yet").read_text() == "new"
    os.symlink("loop", "loop")
    with pytest.raises(InstanceError, match="loop: cannot be written: Too many levels"):
        files.write_text("loop", "new")


def test_a_file_keeps_its_mode_and_a_new_one_has_that_of_the_umask() -> None:
    Path("script").write_text("old")
    for bits in (0o750, 0o600, 0o664):
        os.chmod("script", bits)
        files.write_text("script", "new")
        assert mode("script") == bits
    before = os.umask(0o027)
    try:
        files.write_text("fresh/file", "new")
    finally:
        os.umask(before)
    assert (mode("fresh/file"), mode("fresh")) == (0o640, 0o750)


def test_nothing_is_left_of_a_file_that_fails() -> None:
    Path("there").write_text("old")

    def half(path: Path) -> None:
        path.write_text("hal")
        raise OSError(28, "No space left on device")

    with pytest.raises(InstanceError, match="there: cannot be written: No space left on device"):
        files.write_through("there", half)
    assert sorted(os.listdir()) == ["there", "two.toml"] and Path("there").read_text() == "old"


def test_names_as_long_as_names_can_be() -> None:
    name = "x" * 250 + ".json"
    files.write_text(name, "new")
    assert os.listdir() == [name, "two.toml"] or sorted(os.listdir()) == sorted([name, "two.toml"])
    with pytest.raises(InstanceError, match="File name too long"):
        files.write_text("x" * 300, "new")


def in_the_way(path: str) -> Iterator[str]:
    """Things that are there and no regular files, and what they are called."""
    os.mkfifo(path)
    yield "a pipe"
    os.unlink(path)
    held = socket.socket(socket.AF_UNIX)
    held.bind(path)
    yield "a socket"
    held.close()
    os.unlink(path)
    os.symlink("/dev/null", path)
    yield "a device"
    os.unlink(path)
    os.mkdir(path)
    yield "a directory"


WRITERS = {
    "new": (["new", MARKET, "-o", "way"], "way"),
    "table": (["table", "solved", "-o", "way"], "way"),
    "export": (["export", "two.toml", "-o", "way.mps"], "way.mps"),
    "solve": (["solve", "two.toml", "--out", "."], "two.json"),
    "figure": (["solve", "two.toml", "--out", ".", "--plot"], "two.png"),
    "sweep": (["sweep", "two.toml", "--set", "types.0.value=1", "--out", "."], "two/by-types-0-value.csv"),
    "curve": (["sweep", "two.toml", "--set", "types.0.value=1", "--out", "."], "two/by-types-0-value.svg"),
    "reproduce": (["reproduce", "--instances", "library", "--out", "."], "claims.md"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_but_regular_files_is_ever_replaced(name: str, run: Callable[..., Done]) -> None:
    command, target = WRITERS[name]
    om.solve("two.toml").write("solved/two.json")
    Path(target).parent.mkdir(exist_ok=True)
    Path("library", MARKET).mkdir(parents=True)
    Path("library", MARKET, "two.toml").write_text(TWO)
    for kind in in_the_way(target):
        there = os.lstat(target)
        line = run(*command).one_error()
        if name != "new":  # which takes new files only
            assert f"{target}: is {kind}; only regular files are written, and nothing else is replaced" in line
        after = os.lstat(target)
        assert (after.st_ino, after.st_mode) == (there.st_ino, there.st_mode)


def test_a_write_protected_file_is_no_place_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("kept").write_text("old")
    monkeypatch.setattr(os, "access", lambda path, bits: not str(path).endswith("kept"))  # root may write anywhere
    with pytest.raises(InstanceError, match="write-protected"):
        files.write_text("kept", "new")
    assert Path("kept").read_text() == "old"


def test_a_dash_is_stdout(run: Callable[..., Done]) -> None:
    om.solve("two.toml").write("solved/two.json")
    assert run("new", MARKET, "-o", "-").out == run("new", MARKET).out
    assert run("table", "solved", "-o", "-").out == run("table", "solved").out
    done = run("export", "two.toml", "-o", "-", "--format", "lp")
    run("export", "two.toml", "-o", "two.lp", "--format", "lp")
    assert done.code == 0 and done.out == Path("two.lp").read_text() and done.err.startswith("wrote -: ")
    for command in ("solve", "sweep"):
        assert "-: is stdout, and a folder is wanted" in run(command, "two.toml", "--out", "-").one_error()
    assert not Path("-").exists()


# --- streams ---


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
@pytest.mark.parametrize(
    ("args", "shell", "code", "line"),
    [
        (("check", "two.toml"), ">&-", 2, "error: stdout: is closed"),
        (("check", "two.toml"), "2>&-", 0, None),
        (("check", "none.toml"), "2>/dev/full", 2, "error: none.toml: there is no such file"),
        (("check", "none.toml"), "2>&- >&-", 2, ""),
        (("--help",), ">/dev/full", 2, "error: stdout: cannot be written: No space left on device"),
        (("nonsense",), "2>&-", 2, "error: No such command 'nonsense'."),
    ],
)
def test_a_stream_that_is_closed_or_full_is_one_line(args: tuple[str, ...], shell: str, code: int, line: str | None) -> None:
    done = process(*args, shell=shell)
    assert done.code == code
    if line is None:
        assert done.err == "" and done.out.startswith("ok  two")
    else:
        assert (done.out + done.err).splitlines() == ([line] if line else [])


@pytest.mark.parametrize("args", [("--help",), ("check", "two.toml")])
def test_a_reader_that_has_gone_is_code_141(args: tuple[str, ...]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run([sys.executable, "-m", "optmarket", *args], stdout=theirs, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_file_opened_first_is_not_taken_for_stdout() -> None:
    """Where stdout is closed, its number goes to the next file opened, and with it what anybody prints."""
    done = process("solve", "two.toml", "--out", ".", shell=">&-")
    assert done.code == 2 and Path("two.json").read_text().startswith("{\n")


def test_a_bad_backend_for_figures_does_not_matter() -> None:
    done = process("solve", "two.toml", "--out", ".", "--plot", env={"MPLBACKEND": "nonsense"})
    assert done.code == 0 and Path("two.png").exists()
    assert done.err.splitlines() == ["wrote two.json", "wrote two.png", "wrote two.svg"]


# --- processes that are killed and interrupted ---


def customised(text: str) -> dict[str, str]:
    """An environment whose Python processes run this first."""
    Path("site").mkdir()
    Path("site/sitecustomize.py").write_text(textwrap.dedent(text))
    return {"PYTHONPATH": os.pathsep.join([str(Path("site").absolute()), str(ROOT)])}


def test_a_killed_process_of_a_sweep_is_one_line_and_its_points_are_kept(run: Callable[..., Done]) -> None:
    command = ("sweep", "two.toml", "--set", "types.0.value=1:4:1", "--out", "out", "--jobs", "2")
    om.sweep("two.toml", "types.0.value=1:2:1", out="out")
    kill = """\
        import os, signal, sys
        if "popen_loky" in " ".join(sys.orig_argv):  # one of those that solve points
            os.kill(os.getpid(), signal.SIGKILL)
        """
    done = process(*command, env=customised(kill))
    assert (done.code, done.out) == (3, "")
    found, lost, goes_on = done.err.splitlines()
    assert found == "2 of 4 points are in out/two/points already"
    assert lost.startswith("error: two.toml: a process that solved points was killed")
    assert goes_on == "2 of 4 points are in out/two; the same command goes on from there"
    assert run(*command).code == 0


def test_no_more_processes_than_there_is_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import joblib

    asked: list[int] = []
    configure = joblib.parallel_config

    def seen(backend: str, n_jobs: int, **others: object) -> object:
        asked.append(n_jobs)
        return configure(backend, n_jobs=1, **others)

    monkeypatch.setattr(joblib, "parallel_config", seen)
    assert len(om.sweep("two.toml", "types.0.value=1:2:1", jobs=10**6).solutions) == 2
    assert asked[0] <= 2


def test_a_killed_process_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures.process import BrokenProcessPool

    import joblib

    def broken(*_: object, **__: object) -> Callable[..., Iterator[object]]:
        def run(_: object) -> Iterator[object]:
            raise BrokenProcessPool("terminated")
            yield

        return run

    monkeypatch.setattr(joblib, "Parallel", broken)
    with pytest.raises(SolverError, match="was killed"):
        om.sweep("two.toml", "types.0.value=1:2:1")


@pytest.mark.parametrize(("module", "script"), [("typer", False), ("typer", True), ("numpy", False)])
def test_ctrl_c_while_the_command_is_imported_is_one_line(module: str, script: bool) -> None:
    press = f"""\
        import os, signal, sys
        class Press:
            def find_spec(self, name, *_):
                if name == {module!r}:
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Press())
        """
    start = ["-m", "optmarket"]
    if script:
        Path("optmarket").write_text("import sys\nfrom optmarket.cli.main import main\nsys.exit(main())\n")
        start = ["optmarket"]
    env = {**os.environ, **customised(press)}
    done = subprocess.run([sys.executable, *start, "check", "two.toml"], capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"error: {'two.toml: ' * (module == 'numpy')}interrupted\n")


def test_ctrl_c_is_ctrl_c_also_where_a_library_makes_another_error_of_it(
    run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    def disguised(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise SystemError("returned a result with an exception set") from error

    monkeypatch.setattr("optmarket.api.solve", disguised)
    assert run("solve", "two.toml") == Done(130, "", "error: two.toml: interrupted\n")


def test_a_program_that_imports_the_package_keeps_its_own_ctrl_c() -> None:
    text = "import signal; import optmarket; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", text], env=env, preexec_fn=_heard).returncode == 0


def _heard() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
