"""How time and memory grow with the rows, the features, the width, the members and the draws.

Each case is a process of its own, since peak memory is that of a process. "memory" trains on arrays, "source" on rows
that are made on the fly, block by block, and never exist all at once. Times are those of a step of the compiled loop,
without compilation; memory is the peak above that of a process that has trained on one block. Slopes are those of
straight lines through logarithms: 0 does not grow, 1 grows in proportion.

python experiments/scaling.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import varbump as vb

PLOTS = Path(__file__).resolve().parent.parent / "plots"
USUAL = {"kind": "memory", "N": 100_000, "D": 6, "width": 50, "members": 1, "draws": 1}
CASES = {
    "N, memory": ("N", [10**3, 10**4, 10**5, 10**6, 10**7], {}),
    "N, source": ("N", [10**5, 10**6, 10**7, 10**8], {"kind": "source"}),
    "D": ("D", [2, 8, 32, 128, 512], {}),
    "width": ("width", [10, 50, 250, 1_000], {}),
    "members": ("members", [1, 2, 4, 8, 16], {}),
    "draws": ("draws", [1, 2, 4, 8, 16], {}),
}
GROUP = 65_536


class MadeSource(vb.sources.Source):
    """N rows, each group of which is made from its number when it is read."""

    def __init__(self, num_data: int, num_features: int) -> None:
        super().__init__()
        self.groups = [min(GROUP, num_data - start) for start in range(0, num_data, GROUP)]
        self.x_shape, self.y_shape, self.dtype = (num_features,), (1,), np.dtype(np.float32)

    def read(self, group: int, size: int) -> Iterator[vb.sources.Rows]:
        """Yield the rows of a group."""
        x, y = made(self.groups[group], self.x_shape[0], group)
        for start in range(0, len(x), size):
            yield vb.sources.Rows(x[start : start + size], y[start : start + size])

    @property
    def digest(self) -> str:
        """The numbers that the rows follow from."""
        return f"{self.num_data} {self.x_shape}"


def made(num: int, num_features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a smooth function of the first two features, with noise of sd 0.1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((num, num_features), np.float32)
    f = np.sin(2.0 * x[:, :1]) + 0.5 * x[:, 1:2]
    return x, f + 0.1 * rng.standard_normal((num, 1), np.float32)


def run(case: dict[str, object], batch_size: int) -> dict[str, float]:
    """Train once, and return microseconds a step, rows a second and peak memory in MB."""
    num, features = int(str(case["N"])), int(str(case["D"]))
    network = vb.build_network(features, hidden_units=(int(str(case["width"])),), posterior="mean_field", seed=0)
    options = {"epochs": max(1, 200_000 // num), "batch_size": min(batch_size, num), "seed": 0, "verbose": 0}
    options |= {"num_samples": case["draws"], "kl_warmup": 0.0}
    source = MadeSource(min(num, GROUP), features) if case["kind"] == "block" else MadeSource(num, features)
    data = made(num, features, 0) if case["kind"] == "memory" else (source,)
    if case["members"] == 1:
        history = vb.fit(network, vb.likelihoods.LearnedNormal(), *data, **options)
    else:
        members = int(str(case["members"]))
        history = vb.fit_ensemble(
            network, vb.likelihoods.LearnedNormal(), *data, num_members=members, **options
        ).history
    step = history.seconds / max(history.timed_steps, 1)
    rows = num * len(history.epoch) / history.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"microseconds": 1e6 * step, "rows": rows, "megabytes": peak}


def in_process(case: dict[str, object], batch_size: int) -> dict[str, float]:
    """Run a case in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(case), "--batch-size", str(batch_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def slope(values: list[int], times: list[float]) -> float:
    """Slope of the line through the logarithms of the last three points, where it has bent already."""
    if len(values) < 2:
        return 0.0
    return float(np.polyfit(np.log(values[-3:]), np.log(np.maximum(times[-3:], 1e-9)), 1)[0])


def main(arguments: list[str] | None = None) -> None:
    """Measure all cases, or the one that is given."""
    options = parse(arguments)
    if options.one:
        print(json.dumps(run(json.loads(options.one), options.batch_size)))
        return
    only = " ".join(f'"{what}"' for what in options.only)
    command = f"python experiments/scaling.py --only {only} --batch-size {options.batch_size}"
    lines = [f"`{command}`, network D-50-1, mean field.", ""]
    lines += ["| what | value | microseconds a step | rows a second | peak memory, MB above one block |"]
    lines += ["|---|---|---|---|---|"]
    base = in_process({**USUAL, "kind": "block", "N": GROUP}, options.batch_size)["megabytes"]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for what in options.only:
        name, values, changes = CASES[what]
        values = [value for value in values if value <= (options.largest if name == "N" else np.inf)][: options.values]
        found = [in_process({**USUAL, **changes, name: value}, options.batch_size) for value in values]
        for value, result in zip(values, found, strict=True):
            more = result["megabytes"] - base
            cells = [what, f"{value:,}", f"{result['microseconds']:.1f}", f"{result['rows']:,.0f}", f"{more:,.0f}"]
            lines.append("| " + " | ".join(cells) + " |")
        times = [result["microseconds"] for result in found]
        axes[0].loglog(values, times, "o-", label=f"{what}, slope {slope(values, times):.2f}")
        if name == "N":
            axes[1].semilogx(values, [result["megabytes"] - base for result in found], "o-", label=what)
        print("\n".join(lines[-len(values) :]), flush=True)
    axes[0].set(xlabel="N, D, width, members or draws", ylabel="microseconds a step", title="Time a step")
    axes[1].set(xlabel="N", ylabel="MB above one block", title="Peak memory")
    for axis in axes:
        if axis.lines:
            axis.legend(frameon=False)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=120)
    options.out.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print(f"Table: {options.out.with_suffix('.md')}\nPicture: {options.out}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="default: all")
    parser.add_argument("--largest", type=int, default=10**8, help="largest N (default %(default)s)")
    parser.add_argument("--values", type=int, default=9, help="at most so many values of each (default all)")
    parser.add_argument("--batch-size", type=int, default=256, help="rows a step (default %(default)s)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=PLOTS / "scaling.png", help="default plots/scaling.png")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
