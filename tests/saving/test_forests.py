"""Forests in archives: the same predictions, and no node that leads out of its tree."""

import numpy as np
import pytest

from varbump.core.archive import Declared
from varbump.estimator.forest import ForestEmbedding
from varbump.saving.allowed import Refused
from varbump.saving.forests import forest_arrays, forest_shapes, make_forest

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(50, 3))
Z = X[:, :2] ** 2 + 0.1 * GENERATOR.normal(size=(50, 2))
FOREST, _ = ForestEmbedding.grown(X, Z, np.ones(50), 0)
ARRAYS = forest_arrays(FOREST)


def test_the_same_columns():
    rows = GENERATOR.normal(size=(20, 3))
    np.testing.assert_array_equal(make_forest(3, ARRAYS.__getitem__).transform(rows), FOREST.transform(rows))


def test_shapes():
    declared = {name: Declared(array.shape, array.dtype.name) for name, array in ARRAYS.items()}
    assert forest_shapes(2, declared) == {name: array.shape for name, array in ARRAYS.items()}
    for missing in ("forest/counts", "forest/left"):
        with pytest.raises(Refused, match="no forest"):
            forest_shapes(2, {name: entry for name, entry in declared.items() if name != missing})


def changed(name, index, value):
    array = ARRAYS[f"forest/{name}"].copy()
    array[index] = value
    return {**ARRAYS, f"forest/{name}": array}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed("left", 0, 10**9), "leads nowhere"),
        (changed("left", 0, 0), "leads nowhere"),
        (changed("right", 0, -5), "leads nowhere"),
        (changed("left", 0, -1), "leads nowhere"),
        (changed("feature", 0, 3), "leads nowhere"),
        (changed("feature", 0, -2), "leads nowhere"),
        (changed("right", 0, int(ARRAYS["forest/counts"][0])), "leads nowhere"),
        (changed("counts", 0, 0), "as many nodes"),
        (changed("counts", 0, 2**62), "as many nodes"),
        (changed("unit", 0, 0.0), "positive"),
        ({**ARRAYS, "forest/left": ARRAYS["forest/left"].astype(float)}, "another type"),
    ],
)
def test_what_cannot_be_a_forest_is_refused(arrays, message):
    """Scikit-learn follows the nodes without looking: these would read memory of others, or never end."""
    with pytest.raises(Refused, match=message):
        make_forest(3, arrays.__getitem__)
