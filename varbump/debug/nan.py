"""Diagnosis of nan by a trial training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console

from varbump.core.checks import check_count
from varbump.core.keras import is_built, keep_seeds, keras, variables_of
from varbump.core.printed import Printed, Table
from varbump.core.random import host_seed
from varbump.debug.blame import REMEDIES
from varbump.debug.guard import NanGuard
from varbump.debug.objective import check_rows, find_loss
from varbump.model.structure import owners, weight_label

__all__ = ["NanDiagnosis", "diagnose_nan"]


@dataclass(frozen=True, repr=False)
class NanDiagnosis(Printed):
    """The first non-finite result of a training, and its cause; prints as a few sentences and a table.

    Attributes
    ----------
    term : str or None
        "likelihood", "scale", "KL", "gradient" or "weight"; None if nothing went wrong.
    epoch, step : int or None
        Counted from 1.
    layer, weight, operation : str or None
    sentence, remedy : str
    activations : dict of str to float
        Largest magnitude in the output of each layer in that step.
    scales : dict of str to (float, float)
        Smallest and largest value of each scale in that step.
    num_steps : int
        Steps of the trial.
    """

    term: str | None = None
    epoch: int | None = None
    step: int | None = None
    layer: str | None = None
    weight: str | None = None
    operation: str | None = None
    sentence: str = ""
    remedy: str = ""
    activations: dict[str, float] = field(default_factory=dict)
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    num_steps: int = 0

    @property
    def ok(self) -> bool:
        """Whether loss and gradients stayed finite."""
        return self.term is None

    @property
    def findings(self) -> list[str]:
        """Cause and remedy; empty if nothing went wrong."""
        if self.ok:
            return []
        when = "" if self.epoch is None else f"Epoch {self.epoch}, step {self.step}: the {self.term} went first. "
        return [f"{when}{self.sentence} {self.remedy}"]

    def __rich_console__(self, console: Console, options: Any) -> Any:
        if self.ok:
            yield f"Loss and gradients stayed finite for {self.num_steps:,} steps."
            return
        yield self.findings[0]
        table = Table(title="Before it", title_justify="left")
        table.add_column("layer")
        table.add_column("largest activation, or scale", justify="right")
        for name, size in self.activations.items():
            table.add_row(name, f"{size:.3g}")
        for name, (low, high) in self.scales.items():
            table.add_row(name, f"{low:.3g} to {high:.3g}")
        if table.row_count:
            yield table


def diagnose_nan(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    loss: Any = None,
    optimizer: Any = None,
    epochs: int = 10,
    batch_size: int = 32,
    seed: int | None = 0,
) -> NanDiagnosis:
    """Train a tf_keras model on trial until loss or gradient is not finite, and find the cause.

    The trial is Keras `fit` under `varbump.NanGuard`. The model keeps its weights; if some are not finite to begin
    with, that is the diagnosis. A model with a custom training step, or without known inputs, is compiled anew for the
    trial.

    Parameters
    ----------
    model : tf_keras.Model
        Any model, including stock layers of TensorFlow Probability.
    x, y : array-like (N, D), (N, Q)
    loss : str, callable or tf_keras loss, optional
        By default the one that the model was compiled with.
    optimizer : str or tf_keras optimizer, default=Adam
        For the trial; by default a new one configured like that of the model, or Adam if it has none.
    epochs, batch_size : int
    seed : int, optional
        Seed of the order of the rows and of random layers; sets TensorFlow's global seed.

    Returns
    -------
    NanDiagnosis

    Raises
    ------
    ValueError
        If x or y is empty, not finite or not numeric, if their rows differ, or if no loss is known.
    TypeError
        If `model` or `loss` is not of tf_keras.
    """
    x, y = check_rows(model, x, y)
    loss = find_loss(model, loss, x, y)
    epochs, batch_size = check_count(epochs, "epochs"), check_count(batch_size, "batch_size")
    if not is_built(model):
        model(x[:1])
    own = owners(model)
    for variable in variables_of(model):
        if variable.dtype.is_floating and not np.all(np.isfinite(variable.numpy())):
            layer, name = own[variable.ref()], weight_label(variable)
            sentence = f"{name} of layer {layer!r} holds nan or infinity before any step."
            return NanDiagnosis("weight", layer=layer, weight=name, sentence=sentence, remedy=REMEDIES["weight"])
    trial = _alike(model)
    if optimizer is None:
        ours = getattr(model, "optimizer", None)
        optimizer = "adam" if ours is None else type(ours).from_config(ours.get_config())
    before = [variable.numpy() for variable in variables_of(model)]
    guard = NanGuard(raises=False)
    tf.random.set_seed(host_seed(seed))
    with keep_seeds(model):
        try:
            trial.compile(optimizer, loss)
            trial.fit(x, y, epochs=epochs, batch_size=batch_size, verbose=0, callbacks=[guard])
        finally:
            for variable, value in zip(variables_of(model), before, strict=True):
                variable.assign(value)
    steps = epochs * -(-len(x) // batch_size)
    error, found = guard.error, guard.blame
    if error is None:
        return NanDiagnosis(num_steps=steps)
    if found is None:
        return NanDiagnosis(error.culprit, error.epoch, error.step, num_steps=steps)
    return NanDiagnosis(
        found.term,
        error.epoch,
        error.step,
        found.layer,
        found.weight,
        found.operation,
        found.sentence,
        found.remedy,
        found.activations,
        found.scales,
        steps,
    )


def _alike(model: keras.Model) -> keras.Model:
    """Return a model of the same layers that can be compiled separately; a subclassed one is returned itself."""
    if type(model).train_step is keras.Model.train_step and getattr(model, "inputs", None):
        return keras.Model(*(tensors[0] if len(tensors) == 1 else tensors for tensors in (model.inputs, model.outputs)))
    return model
