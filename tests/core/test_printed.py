"""Reports on narrow screens."""

import pytest
from rich.console import Console

import varbump as vb
from varbump.core.printed import Table
from varbump.debug.gradients import WeightGradient
from varbump.diagnostics.khat import KhatReport


@pytest.mark.parametrize(
    ("report", "numbers"),
    [
        (
            vb.GradientReport((WeightGradient("dense_variational", "kernel", (16, 16), "ok", 0.012, 0.5),), 1.0, 9),
            "0.012",
        ),
        (KhatReport(khat=0.31, num_weights=12_345, num_draws=4000, log_ratio_sd=0.123), "12,345"),
    ],
)
@pytest.mark.parametrize("width", [24, 40])
def test_no_number_is_cut_short(report, numbers, width):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(report)
    assert "\N{HORIZONTAL ELLIPSIS}" not in capture.get()
    assert max(map(len, capture.get().splitlines())) <= width
    rows = [line.split("\N{BOX DRAWINGS LIGHT VERTICAL}") for line in capture.get().splitlines()]
    cells = ["".join(part) for part in zip(*([c.strip() for c in row] for row in rows if len(row) > 3), strict=False)]
    assert not cells or any(numbers in cell for cell in cells)


@pytest.mark.parametrize("width", [72, 80, 100])
def test_names_and_numbers_stay_whole_where_they_fit(width):
    table = Table(title="Posterior of the weights", title_justify="left")
    table.add_column("layer")
    for heading in ("weights", "KL / nats", "|mean| / sd", "below 1", "at the prior", "effective"):
        table.add_column(heading, justify="right")
    rows = [["dense_variational_0", "250", "580.1", "6.73", "5%", "0%", "247.5"]]
    rows += [["dense_variational_1", "2,550", "2,807.8", "1.93", "29%", "0%", "2,262.7"]]
    for row in rows:
        table.add_row(*row)
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    for row in rows:
        (line,) = [line for line in lines if row[0] in line]
        assert line.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").split() == row
    for word in ("effective", "weights", "prior"):
        assert word in capture.get()
