"""A variational network as a scikit-learn regressor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from varbump.core.checks import MAX_DRAWS, check_draws, check_shares, intervals
from varbump.core.estimator_tags import TablesAsTheyAre
from varbump.core.interrupts import uninterrupted
from varbump.core.random import LARGEST_SEED, generator
from varbump.data.sources import Source
from varbump.diagnostics import ParameterReport, parameter_report
from varbump.estimator.candidates import AUTO, EMBEDDINGS, candidates
from varbump.estimator.continued import said_of
from varbump.estimator.fits_sources import FitsSources
from varbump.estimator.forest import ForestEmbedding
from varbump.estimator.learns_on import LearnsOn
from varbump.estimator.report import hint_for
from varbump.estimator.rows import check_range, check_targets, check_weights, merged
from varbump.estimator.settings import ACTIVATIONS, ShortNames, likelihood_of
from varbump.estimator.state import TrainedEnsemble
from varbump.estimator.table import fit_encoder
from varbump.estimator.table.encoding import TableEncoder
from varbump.estimator.training import Rows, embedded, train, train_pool
from varbump.estimator.validation import validated
from varbump.likelihoods import Likelihood
from varbump.likelihoods.checks import check_likelihood, standardises
from varbump.posteriors import PosteriorFactory
from varbump.predict.conformal import check_calibration, conformal_interval
from varbump.predict.distribution import PredictiveDistribution
from varbump.predict.draws import Draws
from varbump.predict.functions import predict_f
from varbump.predict.pool import PooledPredictive
from varbump.predict.predictive import Predictive
from varbump.priors import Prior

__all__ = ["VariationalRegressor"]

KINDS = ("total", "epistemic")

MOST_NOISE_ROWS = 2_048
"""Training rows over which the noise of a pool is averaged, evenly spaced among the sorted ones."""


class VariationalRegressor(LearnsOn, FitsSources, TablesAsTheyAre, RegressorMixin, BaseEstimator):
    r"""Regression with small ensembles of variational networks, as a scikit-learn estimator.

    Each member minimises :math:`-\mathrm{ELBO} / N` of a Bayesian network on standardised X and y; predictions pool
    draws of the weights from all members, and are in the units of y. The defaults are meant for tables of a few hundred
    to some ten thousand rows, and need no setting: several ensembles, which differ in depth, noise and inputs, are
    trained and pooled, each with the weight that it earns on rows that its members have left out. The same rows decide
    by how much the noise of the pool is less than that of its members. `stacking_` says what was chosen, and by how
    much.

    Columns need not be numbers. Text, categorical dtypes and `categorical_features` become categories, with an input
    for each level; levels that are not in the table of the fit get what the prior says of a level of this column, and a
    wider band. Dates become days, and cycles of the year, week and day where the table spans them. A missing level is a
    level; a missing number is replaced by its expectation given the other cells of the row, for jointly normal columns,
    and has an indicator if `likelihood` has a scale that depends on X, or if y differs where it is missing.

    A fit depends only on the weighted set of rows: their order does not matter, a row of weight 3 is equivalent to
    three equal rows and one of weight 0 to none. The prediction for a row does not depend on the other rows passed.

    Parameters
    ----------
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Units of each hidden layer; ``()`` is Bayesian linear regression. "auto" tries one and two layers of 50.
    activation : str or callable, default="relu"
        "relu", "tanh", "gelu", "elu", "selu", "sigmoid", "softplus", "swish", "linear", "bump" or "gaussian_bump".
    posterior : {"mean_field", "low_rank", "full_covariance", "joint"} or PosteriorFactory, default="mean_field"
        Family of q(w), see `varbump.posteriors`; or the `short_name` of a registered one of your own.
    prior : {"ard", "normal", "laplace", "scale_mixture", "trainable"} or Prior, default="ard"
        p(w), see `varbump.priors`; or the `short_name` of a registered one of your own. "ard" learns a scale for each
        input, its relevance.
    likelihood : str or likelihood, default="auto"
        Distribution of y given the function. "normal" has noise with one learned sd, "heteroscedastic" with an sd that
        depends on X; "auto" tries these two. "student_t" has heavy tails; "poisson" and "negative_binomial" are for
        counts, "gamma" and "log_normal" for positive y, "censored_normal" for y with limits; with the last five, "auto"
        elsewhere stands for one layer of 50 and no embedding. Or the `short_name` of a registered one of your own. An
        instance is copied as it is, with scales in sds of y if y is standardised.
    embedding : {"auto", "forest"} or None, default="auto"
        What networks see of a row besides its features. "forest" adds two columns for each target, of a forest of
        randomised trees: the mean of their predictions, and the log of their spread; training rows are predicted by
        trees that have not seen them. It helps where y has steps, or few similar rows say most. "auto" tries both.
    categorical_features : None, "from_dtype", or sequence of str, int or bool, default="from_dtype"
        Columns that are categories. "from_dtype" takes columns of a data frame that hold text or are of a categorical
        dtype; names, indices or a mask declare columns besides these, such as integers that are codes; with None there
        are no categories.
    n_members : int, default=4
        Networks in an ensemble, trained together from different initial values. If there are several candidates, each
        member leaves out a tenth of the rows, at most 500, others than the other members.
    max_iter : int, default=None
        Passes over the rows (epochs). None chooses it for about 20,000 steps; if there are several
        candidates, 30,000 for the one with two hidden layers, and 12,000 for each of the others. Linear models with
        normal noise are then solved in closed form.
    batch_size : int or "auto", default="auto"
        Rows per step; "auto" is 64, and up to 256 for many rows.
    learning_rate : float, default=0.01
        Initial step size of Adam; it decays to 0 along a cosine.
    kl_warmup : float, default=0.5
        Fraction of the run over which the weight of the KL rises from 0 to 1, in [0, 1).
    early_stopping : bool, default=False
        Set rows aside and stop after `n_iter_no_change` epochs without improvement of their loss, counted once the KL
        has its full weight; the best epoch is kept.
    validation_fraction : float, default=0.1
        Share of the rows set aside for `early_stopping`.
    n_iter_no_change : int, default=20
    n_draws : int, default=400
        Draws of the weights that predictions average over, rounded up to a multiple of `n_members`; at most a million.
    random_state : int, RandomState or None, default=None
        The same integer, data, machine and versions give the same fit, bit for bit.
    n_jobs : int, default=None
        Candidates that are trained at a time. None is as many as there are cores, in threads of this process; 1 is one
        after the other, and more are so many processes, as in joblib. Where ``joblib.parallel_config`` sets a number,
        or where joblib runs several fits at once, None means what it does there. The fit is the same.
    verbose : int, default=0
        0 is silent; otherwise a progress bar is shown on terminals and in notebooks.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str (D,)
        Only if X was a data frame whose column names are all strings.
    n_iter_ : int
        Number of epochs.
    history_ : History
        Loss, nll and KL of every epoch, of standardised y, averaged over members; of the heaviest candidate.
    noise_std_ : float or ndarray (Q,)
        Standard deviation of y given the function, units of y, root mean square over members and, where it depends on
        X, over the training rows. With several candidates, over all of them and up to 2,048 training rows.
    stacking_ : StackingReport or None
        Candidates, their weights, and how well they predict rows that they have not seen; prints as a table. None if
        the parameters leave nothing to choose. It has a hint if y looks like counts or is positive and skewed.
    embedding_ : ForestEmbedding or None
        Columns that the networks see beside the features; None if no candidate takes any.
    network_ : tf_keras.Model
        The first member of the heaviest candidate, a map of standardised X, with the columns of `embedding_` beside
        it, to standardised y.
    ensemble_ : Ensemble
        All members of the heaviest candidate, as `network_`. `varbump.predict_f`, `varbump.predict_y` and
        `varbump.predict_bands` take the regressor itself, with X and y in their own units, and pool all candidates.
    likelihood_ : likelihood
        That of the first member, for standardised y.
    parameter_report_ : ParameterReport
        Counts and relevance of the columns of X, for the first member; prints as a table.
    encoder_ : TableEncoder
        Maps columns of X to inputs of the network; `columns` describes these, see `get_feature_names_out`.
    x_scaler_, y_scaler_ : StandardScaler
        That of the inputs leaves indicators as they are; that of y has mean 0 and scale 1 where the likelihood does
        not allow for other units, as for counts.

    See Also
    --------
    varbump.fit : Training of a network.
    sklearn.linear_model.BayesianRidge : Bayesian linear regression.

    Notes
    -----
    Parameters are validated by scikit-learn, whose errors name the parameter and its range.

    References
    ----------
    Blundell, Cornebise, Kavukcuoglu and Wierstra (2015), "Weight Uncertainty in Neural Networks". Lakshminarayanan,
    Pritzel and Blundell (2017), "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles". Yao,
    Vehtari, Simpson and Gelman (2018), "Using Stacking to Average Bayesian Predictive Distributions". Gneiting and
    Ranjan (2013), "Combining Predictive Distributions" (the factor of the noise).

    Examples
    --------
    >>> import numpy as np
    >>> import varbump as vb
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> quick = {"likelihood": "normal", "embedding": None, "max_iter": 2}  # leave them out for a real fit
    >>> model = vb.VariationalRegressor((50,), **quick, random_state=0).fit(X, X[:, 0] ** 2)
    >>> mean, std = model.predict(X, return_std=True)
    >>> lower, upper = model.predict_interval(X, coverage=0.9).T
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": [StrOptions({AUTO}), "array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS), callable],
        "posterior": [ShortNames(PosteriorFactory), PosteriorFactory],
        "prior": [ShortNames(Prior), Prior],
        "likelihood": [StrOptions({AUTO}), ShortNames(Likelihood), Likelihood],
        "embedding": [StrOptions(EMBEDDINGS), None],
        "categorical_features": [None, StrOptions({"from_dtype"}), "array-like"],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [None, Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "kl_warmup": [Interval(Real, 0, 1, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "n_draws": [Interval(Integral, 2, MAX_DRAWS, closed="both")],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = "auto",
        *,
        activation: str | Callable[..., Any] = "relu",
        posterior: Any = "mean_field",
        prior: Any = "ard",
        likelihood: Any = "auto",
        embedding: str | None = "auto",
        categorical_features: Any = "from_dtype",
        n_members: int = 4,
        max_iter: int | None = None,
        batch_size: int | str = "auto",
        learning_rate: float = 0.01,
        kl_warmup: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        n_draws: int = 400,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.posterior = posterior
        self.prior = prior
        self.likelihood = likelihood
        self.embedding = embedding
        self.categorical_features = categorical_features
        self.n_members = n_members
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.kl_warmup = kl_warmup
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_draws = n_draws
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> VariationalRegressor:
        """Train on a table.

        Parameters
        ----------
        X : array-like or data frame (N, D), or source
            Features, in any units; they are standardised internally. Columns of a data frame may be numbers, booleans,
            text, categories, dates or durations; cells may be missing. Constant columns are allowed. Or a source of
            `varbump.sources`, which has y and weights too, see Notes.
        y : array-like (N,) or (N, Q)
            One or several targets. Left out where X is a source.
        sample_weight : array-like (N,), optional
            Weights of the rows; weight 3 is equivalent to three equal rows.

        Returns
        -------
        VariationalRegressor
            The fitted estimator.

        Raises
        ------
        TypeError
            If X or y is not an array, such as a tf.data.Dataset or a generator.
        ValueError
            If X or sample_weight are infinite, y is not finite, they do not match, a column of X is neither numbers,
            dates nor categories, or a parameter is out of range.
        NonFiniteLossError
            If the loss becomes nan or infinite.

        Notes
        -----
        On a source, kinds of columns, levels of categories and what replaces missing cells are learned from up to
        65,536 rows, scales from one pass over all rows, and a level that these rows do not have is one that the fit has
        not seen. Equal rows are not merged. Nothing is pooled: "auto" stands for two layers of 50 and noise of one sd,
        trained for 60,000 steps, or one pass if that is more; `early_stopping` and the forest are refused.
        """
        self._validate_params()
        if isinstance(X, Source):
            return self._fit_to_source(X, y, sample_weight)
        X, y, columns, names = validated(self, X, y, multi_output=True, y_numeric=True, ensure_min_samples=2)
        weights, targets = check_weights(sample_weight, len(X)), check_targets(y)
        check_range(X, "X")
        check_range(targets, "y")
        parameters = self.get_params(deep=False)
        chosen = candidates(parameters)
        likelihood = likelihood_of(chosen[0].likelihood)
        check_likelihood(likelihood)
        likelihood.check_observations(targets)
        X, targets, weights = merged(X, targets, weights)
        random_state = check_random_state(self.random_state)
        seed, draw_seed, split_seed, forest_seed = (int(random_state.randint(LARGEST_SEED)) for _ in range(4))
        varies = any(likelihood_of(candidate.likelihood).scale_varies for candidate in chosen)
        encoder, X = fit_encoder(columns, names, X, targets, weights, indicates_all=varies)
        x_scaler = encoder.scaler(X, weights)
        y_scaler = StandardScaler().fit(targets, sample_weight=weights)
        if not standardises(likelihood):  # counts have no other units
            num_targets = targets.shape[1]
            y_scaler.mean_ = np.zeros(num_targets)
            y_scaler.var_, y_scaler.scale_ = np.ones(num_targets), np.ones(num_targets)
        x, z = x_scaler.transform(X), y_scaler.transform(targets)

        embedding, all_columns = None, x
        if any(candidate.embedding for candidate in chosen):
            embedding, beside = ForestEmbedding.grown(x, z, weights, forest_seed)
            all_columns = np.concatenate([x, beside], axis=1)
        groups = [*encoder.tied, *[1] * (all_columns.shape[1] - x.shape[1])]
        rows = self._split(all_columns, z, weights, groups, split_seed)
        pool, report, said = None, None, None
        if len(chosen) == 1:
            trained = train(chosen[0], rows, z, parameters, seed)
            said = said_of(trained, rows.x, rows.z, rows.weights)
        else:
            log_unit = float(np.log(y_scaler.scale_).sum())
            pool, report = train_pool(chosen, x.shape[1], rows, z, parameters, log_unit, hint_for(targets), seed)
            trained = pool.trained[0]
        with uninterrupted():  # what belongs together changes together
            self._pool, self.embedding_, self.stacking_ = pool, embedding, report
            self._said, self._num_parts = said, 1
            self._draw_seed, self._single_target = draw_seed, np.ndim(y) == 1
            self._learn(trained, encoder, x_scaler, y_scaler, len(rows.x), all_columns, weights)
        return self

    def _learn(
        self,
        trained: TrainedEnsemble,
        encoder: TableEncoder,
        x_scaler: StandardScaler,
        y_scaler: StandardScaler,
        num_data: int,
        columns: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        """Take what was learned, and describe it, on rows (M, D') with weights (M,)."""
        ensemble = trained.ensemble
        self._trained = trained
        self.encoder_, self.x_scaler_, self.y_scaler_ = encoder, x_scaler, y_scaler
        self.ensemble_, self.network_, self.likelihood_ = ensemble, ensemble.network, trained.likelihoods[0]
        self.history_ = ensemble.history
        self.n_iter_ = len(ensemble.history.epoch)
        self.parameter_report_ = self._report(num_data)
        self.noise_std_ = self._noise_std(columns, weights)

    def predict(self, X: Any, return_std: bool = False, return_cov: bool = False) -> Any:
        r"""Predict the mean of the predictive distribution and, optionally, its standard deviation or covariance.

        Parameters
        ----------
        X : array-like or data frame (N, D)
        return_std : bool, default=False
            Return the total predictive sd as well: :math:`\sqrt{\operatorname{mean}_s \mathrm{scale}_s^2 +
            \operatorname{var}_s f_s}`, noise included, as `BayesianRidge` does and `GaussianProcessRegressor` does not.
        return_cov : bool, default=False
            Return the covariance of y between the rows instead: that of f over the draws, and the noise on its
            diagonal. An average over rows has the variance ``cov.mean()``, which is more than if they were independent.

        Returns
        -------
        mean : ndarray (N,) or (N, Q)
            Units of y.
        std : ndarray (N,) or (N, Q)
            Only with `return_std`; units of y.
        cov : ndarray (N, N) or (N, N, Q)
            Only with `return_cov`; squared units of y. Its rank without the noise is below `n_draws`.

        Raises
        ------
        ValueError
            If both `return_std` and `return_cov` are true.
        """
        if return_std and return_cov:
            raise ValueError("return_std and return_cov cannot both be true: the diagonal of the covariance is std**2")
        inputs, unit = self._inputs(X), self.y_scaler_.scale_
        if return_cov:
            mean, cov = self._predictive().covariance(inputs)
            cov = cov * unit**2
            return self._shaped(mean * unit + self.y_scaler_.mean_), cov[..., 0] if self._single_target else cov
        mean, total, _ = self._predictive().moments(inputs)
        mean = self._shaped(mean * unit + self.y_scaler_.mean_)
        return (mean, self._shaped(total * unit)) if return_std else mean

    def predict_quantiles(self, X: Any, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Predict quantiles of the predictive distribution, noise included.

        Parameters
        ----------
        X : array-like or data frame (N, D)
        quantiles : sequence of float (L,), default=(0.05, 0.5, 0.95)
            In (0, 1).

        Returns
        -------
        ndarray (N, L) or (N, L, Q)
            Units of y.

        Raises
        ------
        ValueError
            If a quantile is not between 0 and 1.
        """
        return self._quantiles(X, quantiles, epistemic=False)

    def predict_interval(self, X: Any, coverage: Any = 0.95, kind: str = "total", *, calibration: Any = None) -> Any:
        """Predict an equal-tailed interval for each row, or several.

        Parameters
        ----------
        X : array-like or data frame (N, D)
        coverage : float or sequence of float, default=0.95
            Probability content of the interval, in (0, 1); a sequence of them asks for several intervals at once.
        kind : {"total", "epistemic"}, default="total"
            "total" is the interval of a new observation; "epistemic" that of its expectation, without the noise, which
            narrows as data are added.
        calibration : (X, y), optional
            Rows that the model was not trained on. The interval is then widened or narrowed so that it covers a new y
            with at least this probability, whatever the model, if these rows and the new one are exchangeable; on
            average over rows, not for each of them. A coverage c takes at least c / (1 - c) rows: 19 for 0.95.

        Returns
        -------
        ndarray (N, 2) or (N, 2, Q)
            Lower and upper ends, units of y. For a sequence, a dict of such arrays by coverage:
            ``lower, upper = regressor.predict_interval(X, coverage=(0.5, 0.95))[0.95].T``.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1, `kind` is unknown, or `calibration` has too few rows.

        References
        ----------
        Romano, Patterson and Candès (2019), "Conformalized Quantile Regression", with scores relative to the width.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
        if calibration is not None:
            if kind != "total":
                raise ValueError(f"calibration is by observations, so kind must be 'total' with it, got {kind!r}")
            rows, observed = check_calibration(calibration)
            return conformal_interval(self.predict_dist(X), coverage, self.predict_dist(rows), observed)
        return intervals(coverage, lambda tails: self._quantiles(X, tails, epistemic=kind == "epistemic"))

    def predict_f(self, X: Any, num_draws: int = 100, seed: int | None = None) -> Draws:
        """Draw functions from the posterior: the expectation of y at all rows of X, without the noise.

        Parameters
        ----------
        X : array-like or data frame (N, D)
        num_draws : int, default=100
            S, the number of draws.
        seed : int, optional
            By default that of the draws which `predict` averages over.

        Returns
        -------
        ndarray (S, N, Q)
            Units of y. Each draw is one function; the same seed gives the same functions at other rows. The same as
            ``varbump.predict_f(regressor, X)``, whereas `ensemble_` and `network_` take standardised X and answer in
            standardised units.

        Raises
        ------
        ValueError
            If `num_draws` is not a positive integer, or X does not fit the model.
        """
        check_is_fitted(self, "network_")
        return predict_f(self, X, num_draws=num_draws, seed=self._draw_seed if seed is None else seed)

    def predict_dist(self, X: Any) -> PredictiveDistribution:
        """Predict the distribution of y at each row, noise included.

        Parameters
        ----------
        X : array-like or data frame (N, D)

        Returns
        -------
        PredictiveDistribution
            Has `cdf`, `ppf`, `interval`, `log_pdf`, `mean`, `std` and `rvs`, in the units of y.
        """
        return PredictiveDistribution(*self._predictive_of(X), single_target=self._single_target, given=X)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draw observations: functions from the posterior, plus noise.

        Parameters
        ----------
        X : array-like or data frame (N, D)
        n_samples : int, default=1
            Number of draws. Each is one function at all rows of X, with independent noise at each row.
        random_state : int, RandomState or None, default=0
            As in `GaussianProcessRegressor.sample_y`.

        Returns
        -------
        ndarray (N, n_samples) or (N, Q, n_samples)
            Units of y.

        Raises
        ------
        ValueError
            If `n_samples` is not an integer from 1 to a million.
        """
        x = self._inputs(X)
        n_samples = check_draws(n_samples, "n_samples")
        random_state = check_random_state(random_state)
        seed, noise_seed = (int(random_state.randint(LARGEST_SEED)) for _ in range(2))
        draws = self._predictive(n_samples, seed).sample(x, generator(noise_seed))
        draws = draws * self.y_scaler_.scale_ + self.y_scaler_.mean_
        return draws[..., 0].T if self._single_target else np.moveaxis(draws, 0, -1)

    def log_predictive_density(self, X: Any, y: Any) -> np.ndarray:
        r"""Compute the log density of each row under the predictive distribution.

        .. math:: \log \tfrac1S \sum_s p(y_n | f(x_n; w_s))

        Parameters
        ----------
        X : array-like or data frame (N, D)
        y : array-like (N,) or (N, Q)

        Returns
        -------
        ndarray (N,)
            In nats, for a density in the units of y, jointly over targets. Its mean over held-out rows is the test
            log-likelihood of the literature.

        Raises
        ------
        ValueError
            If y does not have a value for each row of X and each target.
        """
        x = self._inputs(X)
        scale = self.y_scaler_.scale_
        y = check_targets(y)
        if y.size != len(x) * len(scale) or len(y) != len(x):
            raise ValueError(f"y must have shape {(len(x), len(scale))}, got {y.shape}")
        z = (y.reshape(len(x), -1) - self.y_scaler_.mean_) / scale
        return self._predictive().log_density(x, z) - np.log(scale).sum()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the inputs that the columns of X become (D',), without those of an embedding.

        Parameters
        ----------
        input_features : None
            Ignored; the names are those of the fit, or x0, x1 and so on.

        Returns
        -------
        ndarray of str (D',)
            A number keeps its name; those of indicators of levels end in the level, "_infrequent", "_missing" or
            "_unseen", those of the cycles of a date in "_year_sin" and the like.
        """
        check_is_fitted(self, "network_")
        return np.array([column.name for column in self.encoder_.columns], dtype=object)

    def _inputs(self, X: Any) -> np.ndarray:
        """Standardised inputs of the networks (N, D'), with the columns of the embedding beside them."""
        check_is_fitted(self, "network_")
        codes, *_ = validated(self, X, columns=list(self.encoder_.source))
        return embedded(self.x_scaler_.transform(self.encoder_.transform(codes)), self.embedding_)

    def _predictive(self, num_draws: int | None = None, seed: int | None = None) -> Predictive:
        check_is_fitted(self, "network_")
        seed = self._draw_seed if seed is None else seed
        likelihoods = self._trained.likelihoods
        if self._pool is not None:
            num_draws = check_draws(self.n_draws, "n_draws", 2) if num_draws is None else num_draws
            return PooledPredictive(self._pool.pool(), num_draws, seed)
        if num_draws is None:  # equally many of each member
            num_draws = -(-check_draws(self.n_draws, "n_draws", 2) // len(likelihoods)) * len(likelihoods)
        return Predictive(self.ensemble_, likelihoods[:num_draws], num_draws, seed)

    def _predictive_of(self, X: Any) -> tuple[Predictive, np.ndarray, np.ndarray, np.ndarray]:
        """Return the predictive distribution of standardised y, its inputs, and shift and unit of y."""
        return self._predictive(), self._inputs(X), self.y_scaler_.mean_, self.y_scaler_.scale_

    def _quantiles(self, X: Any, levels: Sequence[float], *, epistemic: bool) -> np.ndarray:
        tails = check_shares(levels, "quantiles")
        values = self._predictive().quantiles(self._inputs(X), tails, epistemic=epistemic)
        values = np.moveaxis(values * self.y_scaler_.scale_ + self.y_scaler_.mean_, 0, 1)
        return values[..., 0] if self._single_target else values

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        return values[:, 0] if self._single_target else values

    def _split(self, x: np.ndarray, z: np.ndarray, weights: np.ndarray, groups: Sequence[int], seed: int) -> Rows:
        """Split into rows for training, with their weights, and rows for early stopping."""
        if not self.early_stopping:
            return Rows(x, z, weights, None, groups)
        parts = train_test_split(x, z, weights, test_size=self.validation_fraction, random_state=seed)
        return Rows(parts[0], parts[2], parts[4], (parts[1], parts[3]), groups)

    def _report(self, num_data: int) -> ParameterReport:
        """Report on the first member; the relevance of a constant column is 0, whatever scale its weights have."""
        report = parameter_report(self.network_, num_data=num_data)
        if report.relevance is None:
            return report
        scales, num_inputs = np.array(report.relevance), len(self.encoder_.columns)
        if self._pool is not None:
            scales[self._pool.inputs[0] == 0.0] = 0.0
        relevance = self.encoder_.relevance(scales[:num_inputs], self.x_scaler_)
        names: Any = getattr(self, "feature_names_in_", None)
        if self.embedding_ is not None:
            names = [f"x{index}" for index in range(self.n_features_in_)] if names is None else names
            targets = range(len(self.y_scaler_.scale_))
            names = [*names, *(f"forest, {what} of y{q}" for what in ("mean", "spread") for q in targets)]
            relevance = np.concatenate([relevance, scales[num_inputs:]])
        return replace(report, relevance=relevance, input_names=None if names is None else tuple(map(str, names)))

    def _noise_std(self, x: np.ndarray, weights: np.ndarray) -> Any:
        """Return the root mean square sd of the noise, units of y."""
        likelihoods = self._trained.likelihoods
        if self._pool is not None:
            step = -(-len(x) // MOST_NOISE_ROWS)
            x, weights = x[::step], weights[::step]
        if self._pool is not None or likelihoods[0].scale_varies or likelihoods[0].noise() is None:
            squares = [
                np.mean(mixture.scale[:, : len(weights[rows])] ** 2, axis=0)
                for rows, mixture in self._predictive().blocks(x)
            ]
            square = np.average(np.concatenate(squares), axis=0, weights=weights)
        else:
            of_none = np.zeros((1, len(self.y_scaler_.scale_)), np.float32)
            square = np.mean([np.square(likelihood.stddev(of_none).numpy()[0]) for likelihood in likelihoods], axis=0)
        std = np.sqrt(square) * self.y_scaler_.scale_
        return float(std[0]) if self._single_target else std

    def __getstate__(self) -> dict[str, Any]:
        """Return parameters and fitted attributes, with networks as their arguments and weights."""
        state = dict(super().__getstate__())
        for name in ("ensemble_", "network_", "likelihood_"):
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the networks around their weights."""
        super().__setstate__(state)
        if "_trained" in state:
            self.ensemble_ = self._trained.ensemble
            self.network_, self.likelihood_ = self.ensemble_.network, self._trained.likelihoods[0]
