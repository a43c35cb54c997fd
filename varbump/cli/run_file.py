"""run.json, the record of a fit: written by ``fit``, read by ``predict`` and ``report``."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from varbump.cli.errors import UserError
from varbump.cli.frame import NUMBER
from varbump.cli.run_content import check_content
from varbump.cli.summaries import kinds_of
from varbump.core.strict_json import parse_json
from varbump.version import __version__

__all__ = ["FORMAT", "Run", "checksum", "load_model", "read_run", "versions"]

FORMAT = 1
"""Version of the format of run.json; higher ones are from later versions of varbump."""

NAME = "run.json"

LIBRARIES = ("tensorflow", "tensorflow-probability", "tf-keras", "numpy", "scikit-learn", "pyarrow")

SAME_MEAN = 1e-6
"""Largest difference between a mean in run.json and in the model, in sds: they differ by rounding errors only."""


class Run(NamedTuple):
    """A folder made by ``varbump fit``.

    Attributes
    ----------
    folder : Path
    info : dict
        Content of run.json.
    features, targets : list of str
        Names of the columns, in the order of the model.
    """

    folder: Path
    info: dict[str, Any]
    features: list[str]
    targets: list[str]

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each feature."""
        return kinds_of(self.info["features"])


def read_run(folder: Path) -> Run:
    """Read the run in a folder, or raise a UserError that says why it is not one."""
    path = folder / NAME
    if not folder.exists():
        raise UserError(f"{folder}: no such folder; make it with varbump fit")
    if not folder.is_dir():
        raise UserError(f"{folder} is a file, not the folder of a run; name the folder that varbump fit has made")
    if not path.is_file():
        raise UserError(f"{folder} is not the folder of a run: it has no {NAME}")
    try:
        info = parse_json(path.read_bytes())
        found = info.get("format") if isinstance(info, dict) else None
        if type(found) is int and found > FORMAT:
            raise UserError(
                f"{path} is of format {str(found):.40} (varbump {str(info.get('varbump')):.40}), but this is varbump "
                f"{__version__}, which reads up to {FORMAT}"
            )
        check_content(info)
        if found != FORMAT:
            raise ValueError(f"format must be {FORMAT}, got {found}")
    except OSError as error:
        raise UserError(f"{path} may not be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        what = " ".join(str(error).split()) or "it is nested too deeply"
        raise UserError(
            f"{path} is damaged: {what:.300}; it is not what varbump fit has written, so fit again"
        ) from None
    features, targets = ([column["name"] for column in info[kind]] for kind in ("features", "targets"))
    return Run(folder, info, features, targets)


def load_model(run: Run) -> Any:
    """Load the regressor of a run, which must have the features and targets of run.json."""
    from varbump.core.archive import ArchiveError
    from varbump.estimator import VariationalRegressor
    from varbump.saving import load

    path = run.folder / "model.varbump"
    try:
        model = load(path)
    except ArchiveError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    fits = isinstance(model, VariationalRegressor) and model.n_features_in_ == len(run.features)
    if not fits or len(model.y_scaler_.scale_) != len(run.targets):
        raise UserError(f"{path} is not the model that {NAME} describes; fit again")
    encoder = model.encoder_
    inputs = {column.origin: index for index, column in reversed(list(enumerate(encoder.columns)))}
    for index, (feature, column) in enumerate(zip(run.info["features"], encoder.source, strict=True)):
        kind = feature.get("kind", NUMBER)
        if column.kind not in (kind, "ignored"):
            raise UserError(
                f"{path} is not the model that {NAME} describes: {column.name:.60} is a {column.kind} to it"
            )
        if kind != NUMBER or column.kind == "ignored":
            continue
        mean, scale = encoder.joint.mean[inputs[index]], encoder.joint.scale[inputs[index]]
        if abs(feature["mean"] - mean) > SAME_MEAN * scale + 1e-9 * abs(mean):
            raise UserError(
                f"{path} is not the model that {NAME} describes: it has learned from other numbers in column "
                f"{feature['name']!r:.60}; fit again"
            )
    return model


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of varbump, Python and their dependencies."""
    found = {"varbump": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # installed under another name, such as tensorflow-cpu
            found[library] = "unknown"
    return found
