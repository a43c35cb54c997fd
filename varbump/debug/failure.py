"""The error raised when training stops being finite."""

from __future__ import annotations

from varbump.debug.blame import Blame

__all__ = ["NonFiniteLossError"]


class NonFiniteLossError(ArithmeticError):
    """The loss or a gradient became nan or infinite; the network holds its last finite weights.

    Attributes
    ----------
    epoch : int
        Epoch in which it happened, counted from 1.
    step : int or None
        Step of the epoch, counted from 1; None if unknown.
    culprit : str
        "likelihood", "scale", "KL" or "gradient of <variable>": what became non-finite first.
    layer, weight : str or None
        Layer at fault, and its weight.
    activations : dict of str to float
        Largest magnitude in the output of each layer in that step.
    scales : dict of str to (float, float)
        Smallest and largest value of each scale in that step.
    blame : Blame or None
        The same, with the operation and the remedy.
    """

    def __init__(
        self, epoch: int, step: int | None, num_steps: int | None, culprit: str, found: Blame | None, kept: str
    ) -> None:
        self.epoch, self.culprit, self.blame = epoch, culprit, found
        self.step = None if step is None else step + 1
        self.layer = found.layer if found else None
        self.weight = found.weight if found else None
        self.activations = dict(found.activations) if found else {}
        self.scales = dict(found.scales) if found else {}
        of = "" if num_steps is None else f" of {num_steps}"
        where = "" if step is None else f", step {step + 1}{of}"
        sentences = [f"The loss is not finite in epoch {epoch}{where}: the {culprit} went first."]
        if found:
            sentences += [found.sentence, found.magnitudes]
        sentences += [f"The network holds its weights from {kept}.", found.remedy if found else ""]
        super().__init__(" ".join(sentence for sentence in sentences if sentence))
