"""Tables of distribution functions against closed forms."""

import numpy as np
import scipy.integrate
import scipy.stats

from varbump.predict.tables import Table, nodes_of


def test_a_density_that_is_infinite_at_the_ends_has_a_finite_crps():
    law = scipy.stats.arcsine()
    centre = np.full((3, 1), law.mean())
    nodes, values = nodes_of(law.cdf, centre, np.full_like(centre, law.std()), 0.0, 1.0)
    slopes = law.pdf(nodes)
    assert np.isinf(slopes).any()
    y = np.array([[0.0], [0.3], [0.9]])
    found = Table(nodes, values, slopes).crps(y)
    for at, score in zip(y.ravel(), found.ravel(), strict=True):
        below = scipy.integrate.quad(lambda t: law.cdf(t) ** 2, 0, at)[0]
        above = scipy.integrate.quad(lambda t: law.sf(t) ** 2, at, 1)[0]
        np.testing.assert_allclose(score, below + above, rtol=1e-3)
