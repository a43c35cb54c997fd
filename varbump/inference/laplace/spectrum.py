r"""The precision of the weights in units of their prior, by its eigenvalues.

With the prior sd :math:`S = \operatorname{diag}(s)` and the Gauss-Newton matrix G of the data, the posterior precision
is

.. math:: \Lambda = G + S^{-2} = S^{-1} (I + V \operatorname{diag}(\lambda) V^T) S^{-1}, \quad
          V \operatorname{diag}(\lambda) V^T = S G S.

All eigenvalues of the matrix in parentheses are at least 1, so nothing here can fail to be positive definite, however
little the data say. With one prior scale for all weights, another one only scales lambda.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Spectrum", "spectrum_of"]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues (P,), which are not negative, and eigenvectors (P, P) as columns, or None if they are the axes."""

    values: np.ndarray
    vectors: np.ndarray | None

    def scaled(self, factor: float) -> Spectrum:
        """The spectrum of a multiple of the matrix."""
        return replace(self, values=factor * self.values)

    @property
    def num_effective(self) -> float:
        r"""Number of weights that the data determine, :math:`\sum_i \lambda_i / (1 + \lambda_i)`."""
        return float(np.sum(self.values / (1.0 + self.values)))

    @property
    def log_det(self) -> float:
        r""":math:`\log \det (I + V \operatorname{diag}(\lambda) V^T)`."""
        return float(np.sum(np.log1p(self.values)))

    def into(self, vectors: np.ndarray) -> np.ndarray:
        """Coordinates of vectors (..., P) along the eigenvectors."""
        return vectors if self.vectors is None else vectors @ self.vectors

    def out_of(self, coordinates: np.ndarray) -> np.ndarray:
        """Vectors with these coordinates (..., P) along the eigenvectors."""
        return coordinates if self.vectors is None else coordinates @ self.vectors.T

    def deviations(self, noise: np.ndarray) -> np.ndarray:
        """Normal vectors (..., P) with the inverse of the matrix as covariance, from standard normal numbers."""
        return self.out_of(noise / np.sqrt(1.0 + self.values))


def spectrum_of(precision: np.ndarray, sd: np.ndarray) -> Spectrum:
    """Decompose the matrix (P, P), or the diagonal (P,), of the data, in units of the prior sd (P,)."""
    if precision.ndim == 1:
        return Spectrum(precision * sd**2, None)
    values, vectors = np.linalg.eigh(precision * np.outer(sd, sd))
    return Spectrum(np.maximum(values, 0.0), vectors)
