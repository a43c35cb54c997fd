"""`save` and `load`: select the kind of model, and check a file against its configuration before loading it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from varbump.core.archive import Archive, ArchiveError, write_archive
from varbump.core.keras import keras, refuse_keras3
from varbump.estimator import VariationalRegressor
from varbump.inference.ensemble.ensemble import Ensemble
from varbump.saving.allowed import Refused
from varbump.saving.budget import check_budget
from varbump.saving.ensembles import ensemble_arrays, ensemble_configuration, ensemble_shapes, make_ensemble
from varbump.saving.networks import assign, make_network, network_configuration, network_shapes, network_weights
from varbump.saving.regressors import make_regressor, regressor_arrays, regressor_configuration, regressor_shapes
from varbump.saving.shapes import Shape
from varbump.saving.values import encoded_likelihood, likelihood_shapes_of, likelihood_weights, make_likelihood

__all__ = ["SavedModel", "load", "save"]


class SavedModel(NamedTuple):
    """Network and likelihood that were saved together, returned by `varbump.load`.

    Attributes
    ----------
    network : tf_keras.Model
    likelihood : likelihood
    """

    network: keras.Model
    likelihood: Any


def save(model: Any, path: Any, *, likelihood: Any = None) -> None:
    """Write a trained model to one file, replacing an existing file completely or not at all.

    Parameters
    ----------
    model : tf_keras.Model, Ensemble or VariationalRegressor
        A network of `varbump.build_network`, or a Sequential or functional model of varbump's layers and layers of
        tf_keras that only compute numbers; the result of `varbump.fit_ensemble`; or a fitted regressor.
    path : str or path
        Name of the file, conventionally ending in ".varbump"; used unchanged.
    likelihood : likelihood, optional
        Likelihood to save with a network. Ensembles and regressors have their own.

    Raises
    ------
    TypeError
        If `model` is not one of these, or `path` is not a path.
    ValueError
        If the model has not been built or fitted, or contains something that cannot be saved by name, such as a lambda
        as activation or a user-defined class without `varbump.register`; nothing is written.
    OSError
        If the file cannot be written: no such folder, no permission, no space. `path` keeps its old content.
    """
    _check_path(path)
    refuse_keras3(model, "model")
    kind = next((kind for kind, form in FORMS.items() if isinstance(model, form.of)), None)
    if kind is None:
        raise TypeError(f"model must be a network, an Ensemble or a VariationalRegressor, got {type(model).__name__}")
    form = FORMS[kind]
    if likelihood is not None and not isinstance(model, keras.Model):
        raise ValueError(f"likelihood goes with a network; the model is a {type(model).__name__}, which holds its own")
    try:
        configuration, arrays = form.configuration(model), form.arrays(model)
        if likelihood is not None:
            configuration["likelihood"] = encoded_likelihood(likelihood)
            arrays |= likelihood_weights(likelihood, "likelihood")
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
    tf_keras.Model, SavedModel, Ensemble or VariationalRegressor
        The saved model; a network with a likelihood is returned as a `SavedModel`. Predictions with the same seed are
        bit-identical to those before saving, on the same machine and versions.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no file at `path`.
    ArchiveError
        If the file is not an archive of varbump, is damaged or of another version, or contains what must not be
        loaded; the message says what is wrong. It is a ValueError.
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
    """Whether an array is acceptable: weights must be finite, histories need not."""
    return name.startswith("history/") or bool(np.isfinite(array).all())


class _ModelArchive(Archive):
    """An archive whose weights are finite."""

    def array(self, name: str) -> np.ndarray:
        array = super().array(name)
        if not _is_fine(name, array):
            raise self.error(f"{name} has nan or infinite numbers")
        return array


def _network_shapes(configuration: dict[str, Any], declared: Mapping[str, Any]) -> dict[str, Shape]:
    shapes = network_shapes(configuration)
    if "likelihood" in configuration:
        shapes |= likelihood_shapes_of(configuration["likelihood"], "likelihood")
    return shapes


def _network(archive: Archive) -> Any:
    network = make_network(archive.configuration)
    assign(network, archive.array)
    if "likelihood" not in archive.configuration:
        return network
    return SavedModel(network, make_likelihood(archive.configuration["likelihood"], "likelihood", archive.array))


class _Form(NamedTuple):
    """Functions that write and read one kind of model."""

    of: type
    configuration: Callable[[Any], dict[str, Any]]
    arrays: Callable[[Any], dict[str, np.ndarray]]
    shapes: Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Shape]]
    make: Callable[[Archive], Any]


FORMS = {
    "network": _Form(keras.Model, network_configuration, network_weights, _network_shapes, _network),
    "ensemble": _Form(Ensemble, ensemble_configuration, ensemble_arrays, ensemble_shapes, make_ensemble),
    "regressor": _Form(
        VariationalRegressor, regressor_configuration, regressor_arrays, regressor_shapes, make_regressor
    ),
}
