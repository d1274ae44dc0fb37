"""Files and streams: what is written and what never is, what an instance may read, and streams that are closed or full."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.command import Done
from support.paths import CASES, ROOT

import optmarket as om
from optmarket import files
from optmarket.errors import InstanceError, SolverError

MARKET = "selling-information"
HEAD = f'format = 1\nmodel = "{MARKET}"\ntitle = "t"\nsource = "own"\n[params]\n'
TWO = HEAD + 'types = [{ weight = "1/2", belief = ["1/4", "3/4"] }, { weight = "1/2", belief = ["3/5", "2/5"] }]\n'
CSV = "weight,low,high\n1/2,1/4,3/4\n1/2,3/5,2/5\n"

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files and signals")
pytestmark = posix


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with an instance in it."""
    monkeypatch.chdir(tmp_path)
    Path("two.toml").write_text(TWO)
    yield tmp_path


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def process(*args: str, shell: str = "", env: dict[str, str] | None = None) -> Done:
    """The command in a process of its own, by a shell that closes or redirects its streams."""
    command = ["sh", "-c", f'exec "$0" -m optmarket "$@" {shell}', sys.executable, *args]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env={**os.environ, **(env or {})})
    return Done(done.returncode, done.stdout, done.stderr)


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
    "reproduce": (["reproduce", "--instances", "gallery", "--out", "."], "claims.md"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_but_regular_files_is_ever_replaced(name: str, run: Callable[..., Done]) -> None:
    command, target = WRITERS[name]
    om.solve("two.toml").write("solved/two.json")
    Path(target).parent.mkdir(exist_ok=True)
    Path("gallery", MARKET).mkdir(parents=True)
    Path("gallery", MARKET, "two.toml").write_text(TWO)
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


# --- reading ---


def instance(text: str, path: str = "inner/case.toml") -> str:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(HEAD + text)
    return path


REFERENCES = {
    "types_csv": 'types_csv = "{}"\n',
    "cdf_csv": 'belief = {{ cdf_csv = "{}" }}\n',
    "sweep.points": "types = [{{ weight = 1, belief = [0.5, 0.5] }}]\n" + '[sweep]\npoints = "{}"\n',
}


@pytest.mark.parametrize("field", REFERENCES)
def test_references_stay_beside_the_instance(field: str, run: Callable[..., Done], room: Path) -> None:
    content = {"types_csv": CSV, "cdf_csv": "x,F\n0,0\n1,1\n", "sweep.points": "types[0].value\n1\n2\n"}[field]
    Path("outside.csv").write_text(content)
    Path("inner/below").mkdir(parents=True)
    Path("inner/below/in.csv").write_text(content)
    os.symlink("../outside.csv", "inner/link.csv")
    os.symlink("below/in.csv", "inner/good.csv")
    for name in ("below/in.csv", "below/../below/in.csv", "good.csv", f"{room}/inner/below/in.csv"):
        assert run("check", instance(REFERENCES[field].format(name))).code == 0, name
    for name in ("../outside.csv", f"{room}/outside.csv", "link.csv", "/etc/passwd", "/dev/zero", "/proc/self/environ"):
        line = run("check", case := instance(REFERENCES[field].format(name))).one_error()
        assert re.fullmatch(rf"error: {case}: (params\.)?(belief: )?{re.escape(field)}: is '.*', which lies outside .*", line), (
            line
        )
    for name in ("../outside.csv", "link.csv"):
        case = instance(REFERENCES[field].format(name))
        assert run("check", case, "--allow-outside").code == 0
        assert om.load(case, root=room).title == "t"
        with pytest.raises(InstanceError, match="lies outside the folder"):
            om.load(case)
        with pytest.raises(InstanceError, match="lies outside the folder"):
            om.load(case, root=room / "inner" / "below")


def test_references_are_regular_files_even_where_any_are_allowed(run: Callable[..., Done]) -> None:
    os.mkfifo("pipe")
    for name, kind in (("../pipe", "a pipe"), ("/dev/zero", "a device"), ("..", "a directory")):
        for text in (REFERENCES["types_csv"], REFERENCES["cdf_csv"]):
            line = run("check", instance(text.format(name)), "--allow-outside").one_error()
            assert f"_csv: is '{name}', which is {kind}; must be a regular file" in line


@pytest.mark.parametrize("command", ["show", "check", "solve", "export", "sweep"])
def test_every_command_that_loads_may_be_allowed_more(command: str, run: Callable[..., Done]) -> None:
    Path("outside.csv").write_text(CSV)
    case = instance('types_csv = "../outside.csv"\n')
    more = {"sweep": ["--set", "types.0.value=1"], "export": ["-o", "-"]}.get(command, [])
    assert "lies outside" in run(command, case, *more).one_error()
    assert run(command, case, *more, "--allow-outside").code == 0


def test_a_mechanism_beside_an_instance_is_no_way_out(run: Callable[..., Done]) -> None:
    Path("gallery", MARKET).mkdir(parents=True)
    Path("gallery", MARKET, "two.toml").write_text(TWO)
    Path("outside.json").write_text(f'{{"format": 1, "model": "{MARKET}", "items": []}}')
    os.symlink("../../outside.json", f"gallery/{MARKET}/two.mine.json")
    done = run("reproduce", "--instances", "gallery", "--out", "out")
    assert done.code == 2 and "two.mine.json', which lies outside" in done.err
    assert run("reproduce", "--instances", "gallery", "--out", "out", "--allow-outside").code == 0


def test_files_are_of_bounded_size(monkeypatch: pytest.MonkeyPatch, run: Callable[..., Done]) -> None:
    monkeypatch.setattr(files, "LARGEST", 2**20)
    Path("large").write_text("#" * 2**20 + "\n")
    for command in (["check", "large"], ["audit", "two.toml", "large"], ["table", "large"]):
        assert "large: is larger than 1 MB; no more is read" in run(*command).one_error()
    Path("inner").mkdir()
    Path("inner/large.csv").write_text("weight,low,high\n" + "1,1,0\n" * 2**18)
    assert "large.csv: is larger than 1 MB" in run("check", instance('types_csv = "large.csv"\n')).one_error()


def test_an_instance_is_a_file_or_a_pipe_that_somebody_writes_to(run: Callable[..., Done]) -> None:
    os.mkfifo("pipe.toml")
    assert run("check", "pipe.toml").one_error() == "error: pipe.toml: is empty"
    assert run("check", "/dev/zero").one_error() == "error: /dev/zero: is a device; name a file"
    ours, theirs = os.pipe()
    os.write(theirs, TWO.encode())
    os.close(theirs)
    try:
        assert run("check", f"/dev/fd/{ours}").code == 0
    finally:
        os.close(ours)


# --- sizes and depths ---


@pytest.mark.parametrize(
    "text",
    [
        "a." * 10_000 + "a = 1\n",
        "[" + "a." * 10_000 + "a]\nb = 1\n",
        "a = { " + ' "a" .' * 10_000 + "a = 1 }\n",
        "a = " + "[" * 100 + "]" * 100 + "\n",
        "a = " + "{a=" * 100 + "1" + "}" * 100 + "\n",
    ],
    ids=["key", "table", "inline", "list", "tables"],
)
def test_depth_is_bounded_before_it_costs_anything(text: str, run: Callable[..., Done]) -> None:
    Path("deep.toml").write_text(text)
    assert re.search(r"a key of more than 64 parts|is nested too deeply; at most 64", run("check", "deep.toml").one_error())
    Path("instances").mkdir()
    Path("deep.toml").rename("instances/deep.toml")
    assert "cannot be read" in run("list").out


def test_an_error_is_no_longer_than_anyone_reads(run: Callable[..., Done]) -> None:
    line = run("check", instance("x" * 10**6 + " = 1\n")).one_error()
    assert line.startswith("error: inner/case.toml: params.xxx") and len(line) < 4100


def test_a_path_to_a_number_is_of_bounded_length(run: Callable[..., Done]) -> None:
    for path in ("a." * 10_000 + "a", "types." + "9" * 5000 + ".weight"):
        line = run("sweep", "two.toml", "--set", f"{path}=0:1:1").one_error()
        assert line.startswith("error: two.toml: set: is a path of ") and len(line) < 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('belief = { dist = "beta", a = 2, b = 3 }\ngrid = { size = 1e9 }\n', "must be a whole number"),
        ('belief = { dist = "beta", a = 2, b = 3 }\ngrid = { size = 1000000000 }\n', "must be at most 100000"),
        (
            'belief = { dist = "beta", a = 2, b = 3 }\nvalue = { dist = "uniform" }\ngrid = { size = [9999, 9999] }\n',
            "makes 99,980,001",
        ),
        ('belief = { dirichlet = [1, 1, 1] }\ngrid = { size = 99999, rule = "lattice" }\n', "makes 9,999,800,001 cells"),
        (f"types = [{{ weight = 1, joint = [{[1] + [0] * 19_999}, {[0] * 20_000}] }}]\n", "2^20000 recommendations a type"),
    ],
    ids=["float", "size", "plane", "lattice", "contexts"],
)
def test_sizes_are_bounded_before_memory_is_taken(text: str, words: str, run: Callable[..., Done]) -> None:
    assert words in run("check", instance(text)).one_error()


def test_ranges_are_bounded_before_memory_is_taken(run: Callable[..., Done]) -> None:
    for values, words in (("0:1e12:1", "1,000,000,000,001 values"), ("0:1e300:1e-300", "countless values")):
        line = run("sweep", "two.toml", "--set", f"types.0.value={values}").one_error()
        assert f"{words}; at most 100,000 are swept" in line and len(line) < 200


# --- the ends of the floats ---


@pytest.mark.parametrize("name", ["payoff-1e308", "line-beta-1e308"])
def test_what_floats_cannot_hold_is_one_line(name: str, run: Callable[..., Done]) -> None:
    words = {
        "payoff-1e308": "payoff: at its largest is 1e+308; must be 0 or in size within 1e-150 to 1e150: choose another unit",
        "line-beta-1e308": "which floats cannot tell apart well enough: move its parameters nearer to 1, or give it as cdf",
    }[name]
    line = run("solve", CASES / f"{name}.toml", "--time-limit", "5").one_error()
    assert line.startswith(f"error: {CASES / name}.toml: params.") and line.endswith(words)


BELIEFS = 'belief = { dist = "uniform" }\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('belief = { dist = "beta", a = 2, b = 1e9 }\n', "params.belief.number: has a distribution whose mass floats cannot"),
        ('belief = { dist = "beta", a = 1e308, b = 1e308 }\n', "floats cannot tell apart"),
        (BELIEFS + 'value = { dist = "norminvgauss", a = 1, b = "1/2" }\n', "scipy integrates numerically"),
        (BELIEFS + 'value = { dist = "uniform", loc = 1e20 }\n', "which floats do not tell apart"),
        (BELIEFS + 'value = { dist = "expon", scale = 1e300 }\n', "choose another unit"),
        (BELIEFS + 'value = { dist = "uniform", scale = 5e-324 }\n', "choose another unit"),
        (BELIEFS + "value = 1e-200\n", "choose another unit"),
    ],
)
def test_distributions_are_such_as_floats_can_integrate(text: str, words: str, run: Callable[..., Done]) -> None:
    assert words in run("solve", instance(text)).one_error().replace("params.belief:", "params.belief.number:")


@pytest.mark.parametrize("change", [("1/2", "1e308"), ("value = 1 ", "value = 1e300 "), ("value = 2", "value = 1e-308")])
def test_stakes_of_competing_buyers_are_such_as_floats_can_add(change: tuple[str, str], run: Callable[..., Done]) -> None:
    text = """\
        format = 1
        model = "competing-buyers"
        title = "t"
        source = "own"
        [params]
        prior = ["3/4", "1/4"]
        externality = "1/2"
        buyers = [{ count = 2, types = [{ weight = "0.5", value = 1 }, { weight = "0.5", value = 2 }] }]
        """
    Path("c.toml").write_text(textwrap.dedent(text))
    assert run("check", "c.toml").code == 0
    Path("c.toml").write_text(textwrap.dedent(text).replace(*change))
    assert re.search(r"params\.buyers\[0\]\.types\[\d\]\.value: .*choose another unit", run("check", "c.toml").one_error())


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


@pytest.mark.parametrize(("module", "script"), [("numpy", False), ("typer", True)])
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
        Path("optmarket").write_text("import sys\nfrom optmarket.cli import main\nsys.exit(main())\n")
        start = ["optmarket"]
    env = {**os.environ, **customised(press)}
    done = subprocess.run([sys.executable, *start, "check", "two.toml"], capture_output=True, text=True, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_ctrl_c_is_ctrl_c_also_where_a_library_makes_another_error_of_it(
    run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    def disguised(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise SystemError("returned a result with an exception set") from error

    monkeypatch.setattr("optmarket.cli.main.solve", disguised)
    assert run("solve", "two.toml") == Done(130, "", "error: two.toml: interrupted\n")


def test_a_program_that_imports_the_package_keeps_its_own_ctrl_c() -> None:
    text = "import signal; import optmarket; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", text], env=env, preexec_fn=_heard).returncode == 0


def _heard() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
