"""The end of a run whose other workers have ended or do not answer."""

from __future__ import annotations

import os
import sys

__all__ = ["WorkerLost"]


class WorkerLost(SystemExit):
    """Another worker has ended or does not answer, so this one cannot go on; the exit code of the process is 75.

    Collectives of TensorFlow cannot be used again in the same process, so this is a `SystemExit`: unless it is caught,
    the process ends, with the sentence on its standard error and a code by which a launcher knows that a restart of all
    workers will go on from the last checkpoint. It is ``EX_TEMPFAIL`` of sysexits.h: "try again later".

    Attributes
    ----------
    code : int
        75.
    """

    CODE = 75

    def __init__(self, what: str, has_checkpoint: bool = False) -> None:
        how = "go on from the last checkpoint" if has_checkpoint else "begin again; pass checkpoint= to lose less"
        self.sentence = f"{what}; this worker ends with exit code {self.CODE}: start all workers again to {how}"
        super().__init__(self.sentence)
        self.code = self.CODE
        sys.stderr.write(f"varbump.{type(self).__name__} (process {os.getpid()}): {self.sentence}\n")
        sys.stderr.flush()

    def __str__(self) -> str:
        return self.sentence
