"""Reports on narrow screens."""

import pytest
from rich.console import Console

import varbump as vb
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
