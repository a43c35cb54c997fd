"""Content of the page about a run: numbers from run.json, and pictures made from its model and held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.cli import pictures
from varbump.cli.errors import UserError
from varbump.cli.fitting import HELD_OUT, most_relevant
from varbump.cli.forecasts import LEVELS, forecast, slices
from varbump.cli.learning import library_errors
from varbump.cli.page import bars, page, paragraph, picture, section, table
from varbump.cli.run_file import Run, load_model
from varbump.cli.tables import open_table
from varbump.scores import evaluate

__all__ = ["page_of"]

MOST_BANDS = 12
MOST_FEATURES = 100
"""Largest number of features in tables of the page, the most relevant ones first."""


def page_of(run: Run) -> str:
    """Return the HTML page of a run."""
    model, info = load_model(run), run.info
    order = most_relevant(info["features"], len(run.features))
    x, y = np.empty((0, len(run.features))), np.empty((0, len(run.targets)))
    parts = [_summary(run), _scores(info)]
    if (run.folder / HELD_OUT).is_file():
        held_out = open_table(run.folder / HELD_OUT)
        held_out.require([*run.features, *run.targets])
        values = held_out.read([*run.features, *run.targets])
        if not np.isfinite(values).all():
            raise UserError(f"{run.folder / HELD_OUT} is damaged: it has empty or infinite cells; fit again")
        x, y = values[:, : len(run.features)], values[:, len(run.features) :]
        with library_errors():
            evaluation, predicted = evaluate(model, x, y), forecast(model, x, LEVELS)
        seen = picture(pictures.observed(run.targets, y, predicted), "Observed against predicted values")
        parts.append(section("Predicted against observed", seen, _note_points(len(x))))
        drawn = picture(pictures.calibration(run.targets, evaluation), "Coverage of intervals against their level")
        parts.append(section("Calibration", drawn, paragraph(evaluation.judgement)))
    elif info["rows"]["held_out"]:
        parts.append(section("Held-out rows", paragraph(f"{HELD_OUT} is missing, so there are no plots.")))
    shown = order[:MOST_BANDS]
    with library_errors():
        along = slices(model, run.statistic("median"), run.statistic("min"), run.statistic("max"), shown)
    alone = len(run.features) == 1
    bands = [
        picture(pictures.band(run.features[i], run.targets, grid, band, x[:, i], y, alone), f"Along {run.features[i]}")
        for i, (grid, band) in zip(shown, along, strict=True)
    ]
    note = f"The {len(shown)} most relevant of {len(order):,} features. " if len(order) > len(shown) else ""
    others = "" if alone else "All other features are held at their median; the points are not, so they scatter more. "
    parts.append(section("Prediction along each feature", paragraph(note + others), *bands))
    parts.append(_relevance(info, order))
    parts.append(section("Training", picture(pictures.training(model.history_), "Loss over epochs"), _training(info)))
    parts += [_parameters(info), _columns(info, order), _provenance(info)]
    return page(f"{', '.join(run.targets)} from {info['data']['file']}", parts)


def _note_points(num: int) -> str:
    return paragraph(f"The first {pictures.MOST_POINTS:,} of {num:,} rows.") if num > pictures.MOST_POINTS else ""


def _summary(run: Run) -> str:
    info = run.info
    rows, data = info["rows"], info["data"]
    dropped = f" {data['dropped']:,} rows with empty cells were left out." if data["dropped"] else ""
    kinds = [f"{len(names):,} {word}{'' if len(names) == 1 else 's'}" for names, word in
             ((run.features, "feature"), (run.targets, "target"))]  # fmt: skip
    noise = "; ".join(f"{name}: {sd:.4g}" for name, sd in zip(run.targets, info["noise_sd"], strict=True))
    return section(
        "Data",
        paragraph(
            f"{data['file']}: {data['rows']:,} rows, {kinds[0]}, {kinds[1]}. {rows['train']:,} rows to learn from, "
            f"{rows['held_out']:,} held out.{dropped}"
        ),
        paragraph(f"Noise that no model could predict, as the fit sees it (sd, units of the target): {noise}."),
    )


def _scores(info: dict[str, Any]) -> str:
    if "scores" not in info:
        return section("Scores", paragraph("No rows were held out, so nothing can be said about new ones."))
    rows = [
        [name, *(f"{scores[key]:.4g}" for key in ("rmse", "log_likelihood", "crps")), f"{scores['coverage_95']:.1%}"]
        for name, scores in info["scores"].items()
    ]
    return section(
        "Scores on held-out rows",
        table(["", "RMSE", "log-likelihood", "CRPS", "in 95 % interval"], rows),
        paragraph(
            "RMSE and CRPS in units of the target, smaller is better; log-likelihood in nats a row, larger is better. "
            "Linear: Bayesian ridge regression. Constant: mean and sd of the training rows."
        ),
    )


def _relevance(info: dict[str, Any], order: list[int]) -> str:
    features = info["features"]
    if "relevance" not in features[0] or len(features) < 2:
        return ""
    values = [(features[i]["name"], features[i]["relevance"]) for i in order[:MOST_FEATURES]]
    return section(
        "Relevance of the features",
        bars(values),
        paragraph("Scale of the weights that leave each standardised feature, learned by the prior; one network."),
    )


def _training(info: dict[str, Any]) -> str:
    epochs, loss = info["training"]["epochs"], info["training"]["loss"]
    return paragraph(f"{epochs:,} epochs, {info['seconds']:g} s in all; last loss {loss:.4g} nats per row.")


def _parameters(info: dict[str, Any]) -> str:
    numbers = info["parameters"]
    counts = [[name, "-" if numbers[key] is None else f"{numbers[key]:,.{digits}f}"] for name, key, digits in (
        ("weights of one function", "weights", 0), ("trainable parameters", "trainable", 0),
        ("effective parameters", "effective", 1), ("KL, nats", "kl", 1))]  # fmt: skip
    return section("Parameters of one network", table(["", ""], counts), paragraph(numbers["judgement"]))


def _columns(info: dict[str, Any], order: list[int]) -> str:
    keys = ("min", "lower_quartile", "median", "upper_quartile", "max", "mean", "sd")
    chosen = [*info["targets"], *(info["features"][i] for i in order[:MOST_FEATURES])]
    rows = [[column["name"], *(f"{column[key]:.4g}" for key in keys)] for column in chosen]
    left = len(order) - MOST_FEATURES
    more = paragraph(f"{left:,} less relevant features are not shown.") if left > 0 else ""
    heads = ["column", "min", "25 %", "median", "75 %", "max", "mean", "sd"]
    return section("Columns, training rows", table(heads, rows), more)


def _provenance(info: dict[str, Any]) -> str:
    rows = [["SHA-256 of the data", info["data"]["sha256"]], ["made", info["created"]], ["seed", str(info["seed"])]]
    rows += [[name, version] for name, version in info["versions"].items()]
    rows += [[f"--{name}", _argument(value)[:200]] for name, value in info["arguments"].items()]
    return section("How it was made", table(["", ""], rows))


def _argument(value: Any) -> str:
    """Return the value of an option as it would be typed."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
