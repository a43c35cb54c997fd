"""One line of progress, for people at a terminal."""

import io
import re
import sys
import types

import pytest
from rich.console import Console

from varbump.core.progress import ProgressBar, TrainingProgress, together

ESCAPE = r"\x1b\[[0-9;?]*[A-Za-z]"


@pytest.fixture
def terminal(monkeypatch):
    """What a terminal of 120 columns shows."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr("varbump.core.progress.Console", lambda: console)
    return shown


def last_line(shown):
    lines = re.sub(ESCAPE, "\n", shown.getvalue()).replace("\r", "\n").splitlines()
    return [line for line in lines if line.strip()][-1]


def test_sampling(terminal):
    with ProgressBar(700, unit="draw", verbose=1, text="4 chains") as bar:
        bar.advance(25)
        bar.advance(25)
    assert "draw 50/700" in last_line(terminal)
    assert "4 chains" in last_line(terminal)


def test_training(terminal):
    with TrainingProgress(2_000, 1, temperature=0.5) as bar:
        bar.update(1_200, {"loss": 1.23456, "kl": 78.9}, 4321.0)
    for words in ("epoch 1,200/2,000", "loss 1.235  kl 78.9  4,321 steps/s (temperature 0.5)"):
        assert words in last_line(terminal)


def test_compiling_is_said_at_the_start(terminal):
    with TrainingProgress(2_000, 1):
        pass
    assert "compiling" in last_line(terminal)


def test_silence_on_demand(terminal):
    with TrainingProgress(3, 0) as bar:
        bar.update(3, {"loss": 1.0}, 1.0)
    assert not terminal.getvalue().strip()


def test_silence_without_a_terminal(capsys):
    with TrainingProgress(3, 1) as bar:
        bar.update(3, {"loss": 1.0}, 1.0)
    assert not capsys.readouterr().out.strip()


def test_bars_together_have_a_line_each(terminal):
    with together(1), ProgressBar(700, unit="draw", verbose=1) as one, ProgressBar(30, unit="fold", verbose=1) as other:
        one.advance(25)
        other.advance(7)
    shown = [line for line in re.sub(ESCAPE, "\n", terminal.getvalue()).splitlines() if line.strip()]
    assert "draw 25/700" in shown[-2]
    assert "fold 7/30" in shown[-1]


def test_bars_together_can_be_silent(terminal):
    with together(0), ProgressBar(700, unit="draw", verbose=0) as bar:
        bar.advance(25)
    assert not terminal.getvalue().strip()


@pytest.fixture
def notebook(monkeypatch):
    """A kernel as IPython's, without IPython."""
    shell = type("Shell", (type("ZMQInteractiveShell", (), {}),), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def test_a_notebook_has_a_line_that_is_written_over(notebook, capsys):
    with TrainingProgress(2_000, 1) as bar:
        for epoch in range(2_000):
            bar.update(epoch + 1, {"loss": 1.5}, 100.0)
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert shown.count("\r") < 20  # throttled: 2,000 updates take less than the pauses between 20 lines
    assert shown.startswith("\repoch 0/2,000  compiling")
    assert shown.split("\r")[-1].strip() == "epoch 2,000/2,000  loss 1.5  100 steps/s"


def test_a_notebook_can_be_silent(notebook, capsys):
    with ProgressBar(3, unit="draw", verbose=0) as bar:
        bar.advance(3)
    assert capsys.readouterr().out == ""


def test_of_bars_together_a_notebook_has_the_first(notebook, capsys):
    with together(1), ProgressBar(700, unit="draw", verbose=1) as one, ProgressBar(30, unit="fold", verbose=1) as other:
        one.advance(700)
        other.advance(30)
    shown = capsys.readouterr().out
    assert "draw 700/700" in shown
    assert "fold" not in shown


def test_ipython_on_a_terminal_is_no_notebook(monkeypatch, capsys):
    for get_ipython in (lambda: None, object):
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=get_ipython))
        with ProgressBar(3, unit="draw", verbose=1) as bar:
            bar.advance(3)
    assert not capsys.readouterr().out.strip()
