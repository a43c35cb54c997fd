"""What "auto" stands for, and which rows members leave out."""

import numpy as np
import pytest

import varbump as vb
from varbump.estimator.candidates import PLAIN, TABLE, Candidate, candidates
from varbump.estimator.choice import FEWEST_ROWS, MOST_HELD_OUT, folds, weights_by_member

AUTO = {"hidden_layer_sizes": "auto", "likelihood": "auto", "embedding": "auto"}


def found(**given):
    return candidates({**AUTO, "n_members": 4, **given})


def test_the_default_is_the_whole_table():
    assert found() == list(TABLE)


def test_what_is_given_holds_for_all():
    assert {one.likelihood for one in found(likelihood="normal")} == {"normal"}
    assert {one.embedding for one in found(embedding=None)} == {None}
    assert {one.embedding for one in found(embedding="forest")} == {"forest"}
    assert {one.hidden_layer_sizes for one in found(hidden_layer_sizes=(7,))} == {(7,)}
    for given in ({"likelihood": "normal"}, {"embedding": None}, {"hidden_layer_sizes": (7,)}):
        assert len({one[:3] for one in found(**given)}) == len(found(**given)) > 1


def test_all_that_is_given_leaves_one():
    likelihood = vb.likelihoods.StudentT()
    given = {"hidden_layer_sizes": [3], "likelihood": likelihood, "embedding": None}
    assert found(**given) == [Candidate([3], likelihood, None)]


@pytest.mark.parametrize("likelihood", ["poisson", vb.likelihoods.Gamma()])
def test_noise_without_a_fixed_shape_is_not_pooled(likelihood):
    assert found(likelihood=likelihood) == [PLAIN._replace(likelihood=likelihood)]
    assert found(likelihood=likelihood, hidden_layer_sizes=3)[0].hidden_layer_sizes == 3


def test_names():
    assert [one.name for one in TABLE][::2] == ["50-50, normal", "50, heteroscedastic, forest"]
    assert Candidate((), vb.likelihoods.StudentT(), None).name == "linear, StudentT"


@pytest.mark.parametrize(("num_rows", "num_members"), [(FEWEST_ROWS, 1), (90, 4), (90, 20), (9_000, 8)])
def test_no_row_is_left_out_twice(num_rows, num_members):
    left_out = folds(num_rows, num_members, 0)
    together = np.concatenate(left_out)
    assert len(left_out) == num_members
    assert len(set(together)) == len(together) > 0
    assert 0 < min(map(len, left_out)) <= max(map(len, left_out)) <= min(MOST_HELD_OUT, num_rows // 2)
    assert together.min() >= 0
    assert together.max() < num_rows


def test_few_rows_are_all_kept():
    assert [len(rows) for rows in folds(FEWEST_ROWS - 1, 3, 0)] == [0, 0, 0]


def test_weights_of_members():
    weights = weights_by_member(np.array([1.0, 2.0, 3.0]), [np.array([0]), np.array([2])])
    np.testing.assert_array_equal(weights, [[0.0, 1.0], [2.0, 2.0], [3.0, 0.0]])
