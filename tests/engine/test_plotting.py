"""Figures: what they show, that they read in black and white, and that the same figure is the same file."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from support.command import Done
from support.paths import ROOT

import optmarket as om
from optmarket import plotting
from optmarket.solution import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIBRARY = ROOT / "instances" / "selling-information"
BINARY = ["price paid", "item chosen", "weight of types"]


def solved(name: str) -> Solution:
    return om.solve(LIBRARY / f"{name}.toml")


@pytest.fixture(scope="module")
def two() -> Solution:
    return solved("two-types")


@pytest.fixture(scope="module")
def saved(two: Solution, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return plotting.save(two.plot(), tmp_path_factory.mktemp("saved") / "a.b" / "here 0.5")


def titled(figure: Figure, start: str) -> Axes:
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith(start)]
    return axes


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def written(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def labels(axes: Axes) -> tuple[list[str], list[str]]:
    return [tick.get_text() for tick in axes.get_yticklabels()], [tick.get_text() for tick in axes.get_xticklabels()]


# --- what is shown ---


def test_items_are_heat_maps_with_prices(two: Solution) -> None:
    figure = two.plot()
    assert figure.get_suptitle() == "Two types with non-congruent beliefs"
    assert titles(figure)[:2] == ["item 1: partial, 0.1429, 50 % of buyers", "item 2: full, 0.4, 50 % of buyers"]
    first = titled(figure, "item 1")
    assert written(first) == ["0.571", "0.429", "0", "1"]
    assert labels(first) == (["state 1", "state 2"], ["act 1", "act 2"])
    assert first.get_ylim() == (2, 0)  # the first state on top
    (mesh,) = first.collections
    assert np.allclose(np.asarray(mesh.get_array()).ravel(), [4 / 7, 3 / 7, 0, 1], atol=1e-9)
    assert figure.get_supxlabel().startswith("revenue 0.271429 payoff units, optimal.")


def test_two_states_show_utility_choice_and_price_over_beliefs(two: Solution) -> None:
    figure = two.plot()
    assert titles(figure)[2:] == ["net utility (dashed: worth of full information)", *BINARY]
    full, gain, marks = titled(figure, "net utility").lines
    x, y = np.asarray(full.get_xdata(), float), np.asarray(full.get_ydata(), float)
    assert full.get_linestyle() == "--"
    assert np.allclose(y, np.minimum(x, 1 - x))
    # 4/7 of the first state is revealed, at 1/7; below a half the buyer would bet on the second state
    item = np.maximum(4 / 7 * x + np.maximum(3 / 7 * x, 1 - x) - np.maximum(x, 1 - x) - 1 / 7, 0)
    best = np.maximum(item, np.minimum(x, 1 - x) - 2 / 5)
    assert np.allclose(np.asarray(gain.get_ydata(), float), best, atol=1e-9)
    assert np.allclose(np.asarray(marks.get_xdata(), float), [0.25, 0.6])
    steps = titled(figure, "price paid").patches[0].get_data()  # type: ignore[attr-defined]
    at = dict(zip(np.round(steps.edges[:-1], 4), steps.values, strict=True))
    assert np.allclose([at[0.1], at[0.3], at[0.59], at[0.8]], [0, 1 / 7, 1 / 7, 0], atol=1e-9)
    assert np.allclose(np.asarray(titled(figure, "price paid").lines[0].get_ydata(), float), [1 / 7, 2 / 5])
    chosen = titled(figure, "item chosen")
    assert labels(chosen)[0] == ["nothing", "item 1", "item 2"]
    assert np.asarray(chosen.lines[0].get_ydata()).tolist() == [1, 2]
    assert chosen.get_xlabel() == "belief: Pr(state 1)"
    (bars,) = titled(figure, "weight").collections
    assert np.allclose([segment for segment in bars.get_segments()], [[[0.25, 0], [0.25, 0.5]], [[0.6, 0], [0.6, 0.5]]])  # type: ignore[attr-defined]


def test_types_of_different_payoffs_are_marks_only() -> None:
    figure = solved("credit-report").plot()
    assert not titled(figure, "price paid").patches
    assert np.asarray(titled(figure, "item chosen").lines[0].get_ydata()).tolist() == [1, 3, 2]
    assert "Lines" not in figure.get_supxlabel() and "Circles" in figure.get_supxlabel()


def test_many_types_are_lines_only() -> None:
    figure = solved("setting-b-grid-1000").plot()
    assert not titled(figure, "price paid").lines and titled(figure, "price paid").patches
    assert "Lines" in figure.get_supxlabel() and "Circles" not in figure.get_supxlabel()


@pytest.mark.parametrize("name", ["three-states-matching", "two-contexts"])
def test_beliefs_are_drawn_for_two_states_without_contexts_only(name: str) -> None:
    solution = solved(name)
    assert len(solution.plot().axes) == solution.menu["item"].nunique()


def test_a_menu_that_sells_nothing() -> None:
    figure = solved("sells-nothing").plot()
    assert written(figure.axes[0]) == ["nothing is sold"]


def test_of_many_items_those_bought_by_most_are_drawn() -> None:
    solution = solved("three-states-matching")
    one = solution.menu[solution.menu["item"] == 1]
    menu = pd.concat([one.assign(item=k, share=k / 1000) for k in range(1, 31)], ignore_index=True)
    figure = replace(solution, tables={**solution.tables, "menu": menu}).plot()
    assert [title.split(":")[0] for title in titles(figure)] == [f"item {k}" for k in range(19, 31)]
    assert titles(figure)[0].endswith("1.9 % of buyers")
    assert "18 more items are not drawn." in figure.get_supxlabel().replace("\n", " ")


def test_of_many_signals_the_likeliest_are_drawn() -> None:
    solution = solved("three-states-matching")
    one = solution.menu[solution.menu["item"] == 1].iloc[:, :6]
    signals = {f"s{k}": [k / 210] * len(one) for k in range(1, 21)}
    menu = pd.concat([one, pd.DataFrame(signals, index=one.index)], axis=1)
    figure = replace(solution, tables={**solution.tables, "menu": menu}).plot()
    assert labels(figure.axes[0])[1] == [f"s{k}" for k in range(13, 21)]
    assert "Up to 12 rarer signals of an item are not drawn." in figure.get_supxlabel().replace("\n", " ")


@pytest.mark.parametrize("name", ["two-types", "market-survey", "setting-b-grid-40", "two-contexts", "sells-nothing"])
def test_nothing_is_clipped_and_no_words_overlap(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    drawn: dict[int, Text] = {}
    draw = Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, renderer: (drawn.setdefault(id(text), text), draw(text, renderer))[1])
    canvas = FigureCanvasAgg(solved(name).plot())
    canvas.draw()  # type: ignore[no-untyped-call]
    width, height = canvas.get_width_height()
    boxes = [
        (text.get_text(), text.get_window_extent()) for text in drawn.values() if text.get_visible() and text.get_text().strip()
    ]
    assert len(boxes) >= 3
    assert [t for t, box in boxes if min(box.x0, box.y0, width - box.x1, height - box.y1) < 0] == []
    assert [(s, t) for k, (s, one) in enumerate(boxes) for t, two in boxes[:k] if one.overlaps(two)] == []


def test_nothing_is_drawn_in_colour(saved: tuple[Path, Path]) -> None:
    from matplotlib.image import imread

    red, green, blue = (imread(saved[0])[:, :, channel] for channel in range(3))
    assert np.array_equal(red, green) and np.array_equal(green, blue)
    assert red.min() < 0.1 and red.max() == 1.0


def test_labels_are_broken_cut_and_cleaned() -> None:
    assert plotting.label("one two three", 7, 2) == "one two\nthree"
    assert plotting.label("one two three", 7) == "one…"
    assert plotting.label("a\x1b[31m\nb", 20) == "a [31m b"


def test_small_probabilities_are_told_from_zero() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    plotting.heat_map(axes, np.array([[0.0, 1e-5, 0.12345, 1.0]]), ["r"], list("abcd"))
    assert written(axes) == ["0", "<0.001", "0.123", "1"]
    assert [text.get_color() for text in axes.texts] == ["black", "black", "black", "white"]
    bare = Figure().add_subplot()
    plotting.heat_map(bare, np.eye(2), ["r", "s"], ["a", "b"], numbers=False)
    assert not bare.texts


def test_names_are_text_and_not_formulas(tmp_path: Path) -> None:
    text = (LIBRARY / "two-types.toml").read_text().replace("[params]", '[params]\nstates = ["$\\\\frac$ a", "$b_$"]')
    path = tmp_path / "money.toml"
    path.write_text(text)
    figure = om.solve(path).plot()
    assert labels(figure.axes[0])[0] == ["$\\frac$ a", "$b_$"]
    figure.draw_without_rendering()


# --- files ---


def test_the_same_figure_is_the_same_file_in_another_process(saved: tuple[Path, Path], tmp_path: Path) -> None:
    assert [path.name for path in saved[0].parent.iterdir() if path not in saved] == []
    assert [path.name for path in saved] == ["here 0.5.png", "here 0.5.svg"]
    code = "import sys, optmarket as om; from optmarket import plotting; plotting.save(om.solve(sys.argv[1]).plot(), sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, str(LIBRARY / "two-types.toml"), str(tmp_path / "there")], check=True)
    for path, ending in zip(saved, ("png", "svg"), strict=True):
        assert path.read_bytes() == (tmp_path / f"there.{ending}").read_bytes()


def test_files_hold_no_date_and_are_what_they_are_called(saved: tuple[Path, Path]) -> None:
    png, svg = saved
    assert png.read_bytes().startswith(b"\x89PNG") and b"tEXt" not in png.read_bytes()
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert "date>" not in svg.read_text() and "<image" not in svg.read_text()


def test_a_file_is_written_whole_or_not_at_all(two: Solution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two.png").write_bytes(b"earlier")
    figure = two.plot()

    def broken(path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(om.InstanceError, match=r"two\.png: cannot be written: No space left"):
        plotting.save(figure, tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] == ["two.png"]
    assert (tmp_path / "two.png").read_bytes() == b"earlier"


def test_the_users_settings_are_neither_used_nor_changed(two: Solution, saved: tuple[Path, Path], tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"font.size": 30.0, "lines.color": "red", "savefig.dpi": 20, "svg.fonttype": "none"}):
        before = dict(matplotlib.rcParams)
        styled = [path.read_bytes() for path in plotting.save(two.plot(), tmp_path / "styled")]
        assert dict(matplotlib.rcParams) == before
    assert styled == [path.read_bytes() for path in saved]


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = (
        "import sys; import optmarket.cli.main; from optmarket.modeling import registry; "
        "[registry.get(name) for name in registry.names()]; "
        "import optmarket as om; s = om.solve(sys.argv[1]); assert 'matplotlib' not in sys.modules; "
        "s.plot(); assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code, str(LIBRARY / "two-types.toml")]).returncode == 0


def test_a_solution_read_from_a_file_cannot_be_drawn(two: Solution, tmp_path: Path) -> None:
    two.write(tmp_path / "two.json")
    assert not [key for key in json.loads((tmp_path / "two.json").read_text()) if "draw" in key]
    with pytest.raises(om.ModelError, match="read from a file has no instance to plot"):
        Solution.read(tmp_path / "two.json").plot()


# --- the command ---


def test_solve_draws_next_to_the_solution(run: Callable[..., Done], tmp_path: Path) -> None:
    code, _, err = run("solve", LIBRARY / "two-types.toml", "--out", tmp_path, "--plot")
    assert code == 0
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [path.suffix for path in files] == [".json", ".png", ".svg"] and len({path.with_suffix("") for path in files}) == 1
    assert err.splitlines()[-3:] == [f"wrote {path}" for path in files]


def test_solve_draws_nothing_without_a_folder(run: Callable[..., Done], tmp_path: Path) -> None:
    code, out, err = run("solve", LIBRARY / "two-types.toml", "--plot")
    assert (code, out) == (2, "")
    assert err == "error: --plot: needs --out DIR, the folder that figures and solutions go into\n"
    assert run("solve", LIBRARY / "two-types.toml", "--out", tmp_path)[0] == 0
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".json"]


def test_a_figure_that_cannot_be_written_is_told_before_anything_is_solved(run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "selling-information" / "two-types.svg").mkdir(parents=True)
    line = run("solve", LIBRARY / "two-types.toml", "--out", tmp_path, "--plot").one_error()
    assert line.endswith("two-types.svg: is a directory; only regular files are written, and nothing else is replaced")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_figure_that_fails_does_not_cost_the_answer(
    run: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise om.InstanceError("cannot be written: No space left on device", file="two-types.svg")

    monkeypatch.setattr(plotting, "save", full)
    code, out, err = run("solve", LIBRARY / "two-types.toml", "--out", tmp_path, "--plot")
    assert code == 2 and "revenue" in out
    assert "two-types.svg: cannot be written" in err
