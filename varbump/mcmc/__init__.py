"""The posterior over the weights without a family: Markov chain Monte Carlo, for networks that are small enough."""

from varbump.mcmc.draws import PosteriorDraws
from varbump.mcmc.nuts import sample_nuts
from varbump.mcmc.target import Target

__all__ = ["PosteriorDraws", "Target", "sample_nuts"]
