"""References and sizes of input: what lies outside the folder, or is larger or deeper than any instance, is refused."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import Done
from support.instance_text import CSV, HEAD, MARKET, TWO
from support.paths import CASES

import optmarket as om
from optmarket import files
from optmarket.errors import InstanceError

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files and signals")

pytestmark = [posix, pytest.mark.usefixtures("two")]


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
def test_references_stay_beside_the_instance(field: str, run: Callable[..., Done], folder: Path) -> None:
    content = {"types_csv": CSV, "cdf_csv": "x,F\n0,0\n1,1\n", "sweep.points": "types[0].value\n1\n2\n"}[field]
    Path("outside.csv").write_text(content)
    Path("inner/below").mkdir(parents=True)
    Path("inner/below/in.csv").write_text(content)
    os.symlink("../outside.csv", "inner/link.csv")
    os.symlink("below/in.csv", "inner/good.csv")
    for name in ("below/in.csv", "below/../below/in.csv", "good.csv", f"{folder}/inner/below/in.csv"):
        assert run("check", instance(REFERENCES[field].format(name))).code == 0, name
    for name in ("../outside.csv", f"{folder}/outside.csv", "link.csv", "/etc/passwd", "/dev/zero", "/proc/self/environ"):
        line = run("check", case := instance(REFERENCES[field].format(name))).one_error()
        assert re.fullmatch(rf"error: {case}: (params\.)?(belief: )?{re.escape(field)}: is '.*', which lies outside .*", line), (
            line
        )
    for name in ("../outside.csv", "link.csv"):
        case = instance(REFERENCES[field].format(name))
        assert run("check", case, "--allow-outside").code == 0
        assert om.load(case, root=folder).title == "t"
        with pytest.raises(InstanceError, match="lies outside the folder"):
            om.load(case)
        with pytest.raises(InstanceError, match="lies outside the folder"):
            om.load(case, root=folder / "inner" / "below")


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
    Path("library", MARKET).mkdir(parents=True)
    Path("library", MARKET, "two.toml").write_text(TWO)
    Path("outside.json").write_text(f'{{"format": 1, "model": "{MARKET}", "items": []}}')
    os.symlink("../../outside.json", f"library/{MARKET}/two.mine.json")
    done = run("reproduce", "--instances", "library", "--out", "out")
    assert done.code == 2 and "two.mine.json', which lies outside" in done.err
    assert run("reproduce", "--instances", "library", "--out", "out", "--allow-outside").code == 0


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
