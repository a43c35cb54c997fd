"""The examples in the docstrings of main functions, and of the bases that users derive from, are run."""

import doctest

import pytest

import varbump as vb
from varbump.core import registry as core_registry
from varbump.core.keras import NAME

DOCUMENTED = [
    vb.priors.Prior,
    vb.posteriors.PosteriorFactory,
    vb.fit,
    vb.predict_f,
    vb.credible_bands,
    vb.evaluate,
    vb.save,
    vb.layers.Conv1DVariational,
    vb.layers.EmbeddingVariational,
]


@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda cls: cls.__name__)
def test_examples_run(documented, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(core_registry, "_classes", dict(core_registry._classes))
    (example,) = [found for found in doctest.DocTestFinder(recurse=False).find(documented, globs={})]
    assert example.examples
    for each in example.examples:  # the Keras in use
        each.source = each.source.replace("tf_keras", NAME)
    results = doctest.DocTestRunner(verbose=False).run(example)
    assert results.failed == 0
