"""Training on rows of a table, scoring on held-out rows, and the content of a run's folder.

This is separate from the command because it needs TensorFlow: mistyped names are reported before that is imported.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from varbump.cli import pictures
from varbump.cli.columns import Columns, Rows
from varbump.cli.digits import rounded
from varbump.cli.errors import listed
from varbump.cli.forecasts import LEVELS, Forecast, along, forecast
from varbump.cli.frame import NUMBER
from varbump.cli.learning import learn, library_errors, settings_of, split
from varbump.cli.least_certain import Numbered, uncertain_of, uncertain_table
from varbump.cli.many import Parts
from varbump.cli.mattered import add_permutation, dependence_of, dependences, mattering
from varbump.cli.output_names import held_out_names
from varbump.cli.run_file import FORMAT, versions
from varbump.cli.scoring import MOST_ROWS, judge, score_table
from varbump.cli.summaries import describe, describe_features, kinds_of
from varbump.core.printed import Table
from varbump.saving import save
from varbump.version import __version__

__all__ = [
    "Fitted",
    "HELD_OUT",
    "candidates_of",
    "fit_parts",
    "fit_rows",
    "most_relevant",
    "numbers_first",
    "relevance_table",
]

HELD_OUT = "held_out.csv"

MOST_SHOWN = 10

LONGEST_NAME = 36
"""Features shown in the table of relevance."""


class Fitted(NamedTuple):
    """A trained model with its scores.

    Attributes
    ----------
    model : VariationalRegressor
    columns : Columns
    info : dict
        Content of run.json.
    x, y : ndarray or Frame (M, D), ndarray (M, Q)
        Held-out rows that were scored; M is 0 if none were held out.
    predicted : Forecast or None
        Predictions for these rows.
    evaluation : Evaluation or None
    summary : list
        Parts to print on the terminal.
    """

    model: Any
    columns: Columns
    info: dict[str, Any]
    x: Any
    y: np.ndarray
    predicted: Forecast | None
    evaluation: Any
    summary: list[Any]

    def write(self, folder: Path) -> None:
        """Write the model, held-out rows and pictures."""
        save(self.model, folder / "model.varbump")
        figures = {"training": pictures.training(self.model.history_)}
        if self.predicted is not None:
            _write_rows(folder / HELD_OUT, self.columns, self.x, self.y, self.predicted)
            figures["observed"] = pictures.observed(self.columns.targets, self.y, self.predicted)
            figures["calibration"] = pictures.calibration(self.columns.targets, self.evaluation)
        features = self.info["features"]
        for best in numbers_first(features, 1):
            with library_errors():
                ((grid, band),) = along(self.model, features, [best])
            name, alone = self.columns.features[best], len(features) == 1
            shown = self.x[:, best] if isinstance(self.x, np.ndarray) else self.x[name]
            figures["band"] = pictures.band(name, self.columns.targets, grid, band, shown, self.y, alone)
        curves = dependences(self.info)
        if curves:
            figures["dependence"] = pictures.dependence(self.columns.targets, curves)
        pictures.write_all(figures, folder)


def fit_rows(columns: Columns, rows: Rows, options: dict[str, Any], *, verbose: int) -> Fitted:
    """Train on some rows and score on the others, with the options of ``varbump fit``."""
    train, test = split(len(rows.x), options["test_size"], options["seed"])
    known = _numbered(rows, train)
    model, scored = learn(settings_of(options, verbose), known.x, known.y), test[:MOST_ROWS]
    return _fitted(model, columns, options, known, _numbered(rows, scored), (len(train), len(test)), rows.file)


def fit_parts(columns: Columns, parts: Parts, options: dict[str, Any], *, verbose: int) -> Fitted:
    """Train on several files, and score on row groups that were held out."""
    model = learn(settings_of(options, verbose), parts.source, None, options["checkpoint"])
    known, new = (Numbered(rows.x, rows.y, None) for rows in (parts.sample, parts.held_out))
    return _fitted(model, columns, options, known, new, (parts.source.num_data, parts.num_held_out), HELD_OUT)


def _numbered(rows: Rows, which: np.ndarray) -> Numbered:
    return Numbered(rows.x[which], rows.y[which], None if rows.numbers is None else rows.numbers[which])


def _fitted(
    model: Any,
    columns: Columns,
    options: dict[str, Any],
    known: Numbered,
    new: Numbered,
    counts: tuple[int, int],
    file: str,
) -> Fitted:
    """Describe a model on training rows, of which there may be more, and score it on held-out rows.

    `counts` are the numbers of both, and `file` is that in which held-out rows are numbered.
    """
    (x, y, _), (x_new, y_new, _), (num_train, num_held_out) = known, new, counts
    report = replace(model.parameter_report_, num_data=num_train)  # the report counts equal rows once
    features = describe_features(columns.features, x)
    for feature, column in zip(features, model.encoder_.source, strict=True):
        if num_train > len(x) and column.kind == "number":
            feature["mean"] = _mean_of(model, columns.features.index(feature["name"]))
    if report.relevance is not None:
        for feature, relevance in zip(features, report.relevance[: len(features)], strict=True):  # then an embedding's
            feature["relevance"] = float(relevance)
    with library_errors():
        add_permutation(model, features, *((x_new, y_new) if len(y_new) else (x, y)), options["seed"])
        mattered = mattering(model, features)
    info: dict[str, Any] = {
        "format": FORMAT,
        "varbump": __version__,
        "versions": versions(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seed": options["seed"],
        "rows": {"train": num_train, "held_out": num_held_out, "scored": len(y_new)},
        "features": features,
        "targets": [describe(name, values) for name, values in zip(columns.targets, y.T, strict=True)],
        "noise_sd": np.atleast_1d(model.noise_std_).tolist(),
        "parameters": {
            "weights": report.num_weights,
            "trainable": report.num_trainable,
            "effective": report.num_effective,
            "kl": report.kl,
            "judgement": report.judgement,
        },
        "training": {"epochs": model.n_iter_, "loss": model.history_.history["loss"][-1]},
    }
    stacking = model.stacking_
    if stacking is not None:
        info["candidates"] = candidates_of(stacking)
    with library_errors():
        info["dependence"] = dependence_of(model, features, mattered, x)
    summary: list[Any] = [] if stacking is None else [stacking, ""]
    summary += [replace(report, relevance=None), *relevance_table(features), *_ignored(model, features)]
    if not len(y_new):
        return Fitted(model, columns, info, x_new, y_new, None, None, summary)
    with library_errors():
        evaluation, scores = judge(model, x, y, x_new, y_new)
        predicted = forecast(model, x_new, LEVELS)
        uncertain = uncertain_of(model, features, mattered, new, known, file)
    info["scores"] = {name: of_model._asdict() for name, of_model in scores.items()}
    info["calibration"] = {"calibrated": evaluation.calibrated, "judgement": evaluation.judgement}
    summary += ["", score_table(scores, len(x_new)), evaluation.judgement]
    if uncertain is not None:
        info["uncertain"] = uncertain
        summary += ["", *uncertain_table(uncertain)]
    return Fitted(model, columns, info, x_new, y_new, predicted, evaluation, summary)


def _mean_of(model: Any, origin: int) -> float:
    """Mean of a column of numbers in the rows from which the encoder has learned, by which a run is recognised."""
    index = next(i for i, column in enumerate(model.encoder_.columns) if column.origin == origin)
    return float(model.encoder_.joint.mean[index])


def candidates_of(stacking: Any) -> list[dict[str, Any]]:
    """Candidates of a `StackingReport`, the heaviest first; the log-likelihood is missing if no rows were left out."""
    rows = zip(stacking.names, stacking.weights, stacking.log_likelihood, strict=True)
    return [
        {"name": name, "weight": float(weight), **({"log_likelihood": float(value)} if np.isfinite(value) else {})}
        for name, weight, value in sorted(rows, key=lambda row: -row[1])
    ]


def most_relevant(features: Sequence[dict[str, Any]], num: int) -> list[int]:
    """Return the indices of the features with the largest learned scales, or the first ones if there are no scales."""
    relevance = np.array([feature.get("relevance", 0.0) for feature in features], float)
    return [int(index) for index in np.argsort(-relevance, kind="stable")[:num]]


def numbers_first(features: Sequence[dict[str, Any]], num: int) -> list[int]:
    """Return the indices of the most relevant features that are numbers."""
    kinds = list(kinds_of(features).values())
    return [index for index in most_relevant(features, len(features)) if kinds[index] == NUMBER][:num]


def _ignored(model: Any, features: Sequence[dict[str, Any]]) -> list[str]:
    """Name the columns that the fit has left out: empty ones, and categories with about as many levels as rows."""
    pairs = zip(model.encoder_.source, features, strict=True)
    names = [feature["name"] for column, feature in pairs if column.kind == "ignored"]
    return [f"Ignored, since empty or as many levels as an identifier has: {listed(names)}"] if names else []


def relevance_table(features: Sequence[dict[str, Any]]) -> list[Any]:
    """Return a table of the most relevant features, or nothing if there is one feature or no learned relevance."""
    if len(features) < 2 or "relevance" not in features[0]:
        return []
    table = Table(title="Relevance of the features", title_justify="left")
    table.add_column("feature")
    table.add_column("scale of its weights", justify="right")
    table.add_column("")
    order = most_relevant(features, MOST_SHOWN)
    largest = max(features[order[0]]["relevance"], np.finfo(float).tiny)
    for index in order:
        share = features[index]["relevance"] / largest
        name = _shortened(features[index]["name"]).replace("[", r"\[")
        table.add_row(name, f"{features[index]['relevance']:.3g}", "█" * round(20 * share))
    if len(features) > MOST_SHOWN:
        table.add_row(f"{len(features) - MOST_SHOWN:,} more", "below", "")
    return [table]


def _shortened(name: str) -> str:
    """Shorten a long name in its middle, since names of one table often begin alike."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}…{name[1 - LONGEST_NAME // 2 :]}"


def _write_rows(path: Path, columns: Columns, x: Any, y: np.ndarray, predicted: Forecast) -> None:
    """Write held-out rows, followed by mean, sd and 95 % interval of each target."""
    values = [y]
    header = [*columns.features, *columns.targets]
    for index, name in enumerate(columns.targets):
        ends = predicted.lower[0.95], predicted.upper[0.95]
        of_target = np.stack([a[:, index] for a in (predicted.mean, predicted.sd, *ends)], axis=1)
        values.append(rounded(of_target, of_target[:, 1:2]))
        header += held_out_names(name)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for cells, numbers in zip(_cells(x), np.hstack(values).tolist(), strict=True):
            writer.writerow([*cells, *numbers])


def _cells(x: Any) -> list[list[Any]]:
    """Rows as they are written to a table, empty where missing."""
    if not isinstance(x, np.ndarray):
        return x.texts()
    return [["" if np.isnan(cell) else cell for cell in row] for row in x.tolist()]
