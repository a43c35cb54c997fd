"""`save` and `load`: select the kind of model, and check a file against its configuration before loading it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from varbump.core.archive import Archive, ArchiveError, write_archive
from varbump.core.keras import refuse_other_keras
from varbump.saving.allowed import Refused
from varbump.saving.budget import check_budget
from varbump.saving.forms import FORMS as MODELS, Form, SavedModel, encoded_model
from varbump.saving.recalibrated import encode_recalibrated, make_recalibrated, recalibrated_shapes
from varbump.saving.shapes import Shape
from varbump.scores import RecalibratedModel

__all__ = ["SavedModel", "load", "save"]


def save(model: Any, path: Any, *, likelihood: Any = None) -> None:
    """Write a trained model to one file, replacing an existing file completely or not at all.

    Parameters
    ----------
    model : tf_keras.Model, Ensemble, VariationalRegressor or estimator around one
        A network of `varbump.build_network`, or a Sequential or functional model of varbump's layers and layers of
        tf_keras that only compute numbers; the result of `varbump.fit_ensemble`; a fitted regressor, or a fitted
        `Pipeline` or `TransformedTargetRegressor` around one, with the common transformers of scikit-learn; or the
        result of `varbump.recalibrate`. Of a `GridSearchCV` or `RandomizedSearchCV` the best estimator is saved.
    path : str or path
        Name of the file, conventionally ending in ".varbump"; used unchanged. A link is written through.
    likelihood : likelihood, optional
        Likelihood to save with a network. Ensembles and regressors have their own.

    Raises
    ------
    TypeError
        If `model` is not one of these, or `path` is not a path.
    ValueError
        If the model has not been built or fitted, or contains something that cannot be saved by name, such as a lambda
        as activation, a user-defined class without `varbump.register`, or a step of a pipeline that is not one of the
        common transformers; nothing is written.
    OSError
        If the file cannot be written: no such folder, no permission, no space, or `path` is a folder, a device, a named
        pipe or a link that leads nowhere. `path` keeps its old content.

    Notes
    -----
    At any moment `path` holds one whole model or what it held before, also if the process is killed or if several
    processes save to it: the last one to finish wins. A killed process leaves a temporary file, named
    ``.NAME.*.tmp``, beside it, which may be deleted.

    Examples
    --------
    >>> import varbump as vb
    >>> network = vb.build_network(1, seed=0)
    >>> vb.save(network, "cubic.varbump", likelihood=vb.likelihoods.Normal(scale=0.25))
    >>> vb.load("cubic.varbump").likelihood.scale
    0.25
    """
    _check_path(path)
    refuse_other_keras(model, "model")
    try:
        kind, configuration, arrays = encoded_model(model, likelihood, FORMS)
    except Refused as error:
        raise ValueError(f"{type(model).__name__} cannot be saved: {error}") from error
    broken = [name for name, array in arrays.items() if not _is_fine(name, array)]
    if broken:
        raise ValueError(f"{type(model).__name__} cannot be saved: {broken[0]} has nan or infinite numbers")
    write_archive(path, kind, configuration, arrays)


def load(path: Any) -> Any:
    """Load a model written by `varbump.save`, without running any code from the file.

    Only classes that varbump knows by name are used. User-defined ones must have been registered under the same names,
    see `varbump.register`.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    tf_keras.Model, SavedModel, Ensemble or estimator
        The saved model; a network with a likelihood is returned as a `SavedModel`. Predictions with the same seed are
        bit-identical to those before saving, on the same machine and versions.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no file at `path`.
    ArchiveError
        If the file is not an archive of varbump, is damaged or of another version, or contains what must not be
        loaded; the message says what is wrong. It is a ValueError.

    Warns
    -----
    UserWarning
        If the transformers of a pipeline were saved with another version of scikit-learn.
    """
    _check_path(path)
    with _ModelArchive(path) as archive:
        form = FORMS.get(archive.kind) if isinstance(archive.kind, str) else None
        if form is None:
            raise archive.error(f"it holds no model ({str(archive.kind):.40})")
        try:
            check_budget(archive.configuration, archive.size)
            _check_arrays(form.shapes(archive.configuration, archive.declared), archive.declared)
            return form.make(archive)
        except (ArchiveError, MemoryError, OSError):
            raise
        except Refused as error:
            raise archive.error(str(error)) from error
        except Exception as error:  # any error of layers and scalers for a configuration that was tampered with
            what = str(error) or type(error).__name__
            raise archive.error(f"its configuration does not describe a model ({what:.200})") from error


def _check_path(path: Any) -> None:
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be the name of a file, got {path!r:.60}")


def _check_arrays(expected: Mapping[str, Shape], declared: Mapping[str, Any]) -> None:
    """Refuse a file that does not contain exactly the arrays that its configuration implies."""
    found = {name: entry.shape for name, entry in declared.items()}
    for name in sorted(set(expected) | set(found)):
        if expected.get(name) != found.get(name):
            raise Refused(
                f"{name} should have shape {expected.get(name, 'none')} by its configuration, but the file has "
                f"{found.get(name, 'none')}"
            )


def _is_fine(name: str, array: np.ndarray) -> bool:
    """Whether an array is acceptable: weights must be finite, histories and transformers need not."""
    return name.startswith(("history/", "steps/")) or bool(np.isfinite(array).all())


class _ModelArchive(Archive):
    """An archive whose weights are finite."""

    def array(self, name: str) -> np.ndarray:
        array = super().array(name)
        if not _is_fine(name, array):
            raise self.error(f"{name} has nan or infinite numbers")
        return array


FORMS = {
    **MODELS,
    "recalibrated": Form(RecalibratedModel, encode_recalibrated, recalibrated_shapes, make_recalibrated),
}
