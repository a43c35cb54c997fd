"""``varbump demo``: the cubic, from data to picture."""

from __future__ import annotations

from pathlib import Path

import click

from varbump.cli.options import for_scripts, replaces
from varbump.cli.output import check_target, new_file
from varbump.cli.screen import Screen, silenced
from varbump.core.interrupts import uninterrupted

__all__ = ["demo"]


@click.command(short_help="Fit the noisy cubic and draw it.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("cubic.png"), show_default=True, help="Picture.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of data and fit.")
@replaces
@for_scripts
def demo(out: Path, seed: int, force: bool, quiet: bool, as_json: bool) -> None:
    """Fit 500 noisy points of a cubic and plot the result, inside the data and beyond."""
    screen = Screen(as_json=as_json, quiet=quiet)
    check_target(out, force=force)
    if out.suffix.lower() != ".png":
        raise click.UsageError(f"--out {out} must end in .png")
    with screen.waiting("starting TensorFlow"), silenced(), uninterrupted():
        from varbump.cli.cubic import fit_cubic
    with silenced():
        drawn = fit_cubic(seed, verbose=int(screen.talks))
        with new_file(out) as beside:
            drawn.save(beside)
    screen.show(drawn.report, "", drawn.words, f"\nWrote {out}")
    screen.result({"out": str(out), "seed": seed, **drawn.numbers})
