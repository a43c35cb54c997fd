"""Content of the page about a run: numbers from run.json, and pictures made from its model and held-out rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from varbump.cli import pictures
from varbump.cli.errors import UserError
from varbump.cli.features import read_as
from varbump.cli.fitting import HELD_OUT, most_relevant, numbers_first
from varbump.cli.forecasts import LEVELS, along, forecast
from varbump.cli.frame import CATEGORY, DATE, NUMBER
from varbump.cli.learning import library_errors
from varbump.cli.least_certain import numbers_in_a_cell
from varbump.cli.mattered import dependences
from varbump.cli.page import bars, page, paragraph, picture, section, table
from varbump.cli.run_file import Run, load_model
from varbump.cli.tables import open_table
from varbump.cli.unusual_cells import unusable
from varbump.scores import evaluate

__all__ = ["page_of"]

MOST_BANDS = 12
MOST_FEATURES = 100
"""Largest number of features in tables of the page, the most relevant ones first."""


def page_of(run: Run) -> str:
    """Return the HTML page of a run."""
    model, info = load_model(run), run.info
    order = most_relevant(info["features"], len(run.features))
    x: Any = np.empty((0, len(run.features)))
    y = np.empty((0, len(run.targets)))
    parts = [_summary(run), _scores(info)]
    if (run.folder / HELD_OUT).is_file():
        held_out = open_table(run.folder / HELD_OUT)
        held_out.require([*run.features, *run.targets])
        y = held_out.read(run.targets)
        x = read_as(held_out, run.kinds)
        if not np.isfinite(y).all() or unusable(model.encoder_.source, x).any():
            raise UserError(f"{run.folder / HELD_OUT} is damaged: it has empty or infinite cells; fit again")
        with library_errors():
            evaluation, predicted = evaluate(model, x, y), forecast(model, x, LEVELS)
        seen = picture(pictures.observed(run.targets, y, predicted), "Observed against predicted values")
        parts.append(section("Predicted against observed", seen, _note_points(len(x))))
        drawn = picture(pictures.calibration(run.targets, evaluation), "Coverage of intervals against their level")
        parts.append(section("Calibration", drawn, paragraph(evaluation.judgement)))
    elif info["rows"]["held_out"]:
        parts.append(section("Held-out rows", paragraph(f"{HELD_OUT} is missing, so there are no plots.")))
    shown = numbers_first(info["features"], MOST_BANDS)
    with library_errors():
        lines = along(model, info["features"], shown)
    alone = len(run.features) == 1
    bands = [
        picture(pictures.band(name, run.targets, grid, band, _column(x, i, name), y, alone), f"Along {name}")
        for i, name, (grid, band) in zip(shown, (run.features[i] for i in shown), lines, strict=True)
    ]
    numbers = list(run.kinds.values()).count(NUMBER)
    note = f"The {len(shown)} most relevant of {numbers:,} features that are numbers. " if numbers > len(shown) else ""
    others = "" if alone else "All other features are held at their median; the points are not, so they scatter more. "
    if bands:
        parts.append(section("Prediction along each feature", paragraph(note + others), *bands))
    parts += [_candidates(info), _relevance(info, order), _permutation(info), _dependence(info, run.targets)]
    parts += [_uncertain(info)]
    parts.append(section("Training", picture(pictures.training(model.history_), "Loss over epochs"), _training(info)))
    parts += [_parameters(info), _columns(info, order), _provenance(info)]
    return page(f"{', '.join(run.targets)} from {info['data']['file']}", parts)


def _column(x: Any, index: int, name: str) -> np.ndarray:
    return x[:, index] if isinstance(x, np.ndarray) else x[name]


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


def _candidates(info: dict[str, Any]) -> str:
    if not info.get("candidates"):
        return ""
    rows = [
        [one["name"], f"{one['weight']:.2f}", f"{one['log_likelihood']:.3f}" if "log_likelihood" in one else "-"]
        for one in info["candidates"]
    ]
    return section(
        "Candidates",
        table(["hidden units, noise, embedding", "weight", "log-likelihood"], rows),
        paragraph(
            "Models that were trained, and the weight of each in the predictions. Log-likelihood in nats a row, of "
            "training rows that its networks had left out; what follows is about the heaviest."
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


def _permutation(info: dict[str, Any]) -> str:
    features = [feature for feature in info["features"] if "permutation" in feature]
    if len(features) < 2:
        return ""
    shown = sorted(features, key=lambda feature: -feature["permutation"])[:MOST_FEATURES]
    rows = [[f["name"], f"{round(f['permutation'], 3) + 0.0:.3f} ± {f['permutation_se']:.3f}"] for f in shown]
    where = "held-out" if info["rows"]["scored"] else "training"
    return section(
        "Permutation of the features",
        table(["feature", "rise of the error"], rows),
        paragraph(
            f"Rise of the squared error if the cells of a feature change places between {where} rows, in units of the "
            f"variance of the target, with its standard error. Features that say the same stand in for each other."
        ),
    )


def _dependence(info: dict[str, Any], targets: list[str]) -> str:
    curves = dependences(info)
    if not curves:
        return ""
    drawn = [
        picture(pictures.dependence(targets, [curve], curves), f"Partial dependence on {curve.feature}")
        for curve in curves
    ]
    count = f"The {len(curves)} most relevant of {len(info['features']):,} features. "
    return section(
        "Averages over the other features",
        paragraph(
            f"{count if len(info['features']) > len(curves) else ''}Mean of the target if all of "
            f"{curves[0].num_rows:,} training rows had this value, as each drawn function has it (partial dependence); "
            f"the bands hold what is not known of that average, not the scatter of rows. Ticks are deciles of the data."
        ),
        *drawn,
    )


def _uncertain(info: dict[str, Any]) -> str:
    uncertain = info.get("uncertain")
    if uncertain is None or not uncertain["found"]:
        return ""
    rows = []
    for row in uncertain["found"]:
        predicted = [numbers_in_a_cell(row[name]) for name in ("y", "mean", "epistemic_sd")]
        rows.append([f"{row['row']}", *map(_cell, row["cells"]), *predicted, f"{row['relative_sd']:.3g}", ""])
        for near in row["nearest"]:
            name = f"{near['row']}" if "row" in near else "nearest"
            cells = [*map(_cell, near["cells"]), numbers_in_a_cell(near["y"]), "", "", ""]
            rows.append([f"\u2003{name}", *cells, f"{near['distance']:.2g}"])
    median = numbers_in_a_cell(uncertain["median_sd"])
    learned = "relevance" in info["features"][0]
    weighted = ", weighted by their relevance, in sds of the most relevant one" if learned else ""
    heads = ["observed", "predicted", "epistemic sd", "\u00d7 median", "distance"]
    return section(
        "Rows that the model is unsure of",
        table(["row, its nearest", *uncertain["columns"], *heads], rows),
        paragraph(
            f"Of {uncertain['rows']:,} held-out rows, those with the largest epistemic sd, the part of the uncertainty "
            f"that more rows like them would reduce (median: {median}), and the nearest of {uncertain['among']:,} "
            f"training rows. Rows are numbered as in {uncertain['numbered_in']}."
        ),
        paragraph(
            f"Distances are between standardised features{weighted}; half of the held-out rows have a training row "
            f"within {uncertain['typical_distance']:.2g}."
        ),
    )


def _cell(value: Any) -> str:
    """A cell of the data."""
    if value is None:
        return "-"
    return value[:40].removesuffix("T00:00:00") if isinstance(value, str) else f"{value:.4g}"


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
    shown = [info["features"][i] for i in order[:MOST_FEATURES]]
    chosen = [*info["targets"], *(column for column in shown if column.get("kind", NUMBER) == NUMBER)]
    rows = [[column["name"], *(f"{column[key]:.4g}" for key in keys)] for column in chosen]
    left = len(order) - MOST_FEATURES
    more = paragraph(f"{left:,} less relevant features are not shown.") if left > 0 else ""
    heads = ["column", "min", "25 %", "median", "75 %", "max", "mean", "sd"]
    return section("Columns, training rows", table(heads, rows), *_others(shown), more)


def _others(features: list[dict[str, Any]]) -> list[str]:
    """Tables of the categories and of the dates, if there are any."""
    tables = {
        CATEGORY: (["category", "levels", "most frequent", "empty"], ("num_levels", "most_frequent", "empty")),
        DATE: (["date", "first", "median", "last", "empty"], ("min", "median", "max", "empty")),
    }
    made = []
    for kind, (heads, keys) in tables.items():
        rows = [[f["name"], *(str(f[key])[:40] for key in keys)] for f in features if f.get("kind") == kind]
        made += [table(heads, rows)] if rows else []
    return made


def _provenance(info: dict[str, Any]) -> str:
    rows = [["SHA-256 of the data", info["data"]["sha256"]], ["made", info["created"]], ["seed", str(info["seed"])]]
    rows += [[name, version] for name, version in info["versions"].items()]
    rows += [[f"--{name}", _argument(value)[:200]] for name, value in info["arguments"].items()]
    return section("How it was made", table(["", ""], rows))


def _argument(value: Any) -> str:
    """Return the value of an option as it would be typed."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
