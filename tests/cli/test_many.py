"""Tables in several Parquet files: a fit in blocks, and predictions as a folder."""

import json

import numpy as np
import pandas as pd
import pytest
from invoked import invoke

import varbump as vb


def table(seed, num=800):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=num), "c": rng.choice(["u", "v"], num), "b": rng.normal(size=num)})
    frame.loc[::40, "b"] = np.nan
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, num), "D")
    frame["y"] = np.sin(2 * frame["a"]) + (frame["c"] == "u") + 0.1 * rng.normal(size=num)
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("many")
    for part in range(3):
        table(part).to_parquet(path / f"part-{part}.parquet", row_group_size=200)
    return path


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    options = ["--max-iter", 4, "--members", 2, "--hidden", "5", "--test-size", 0.25, "--json"]
    return out, json.loads(invoke("fit", folder / "part-*.parquet", "-t", "y", "--out", out, *options).stdout)


@pytest.mark.slow
def test_fit_holds_out_row_groups(run):
    out, info = run
    assert info["rows"] == {"train": 1_800, "held_out": 600, "scored": 600}
    assert info["data"]["rows"] == 2_400
    assert [feature.get("kind", "number") for feature in info["features"]] == ["number", "category", "number", "date"]
    assert info["scores"]["varbump"]["rmse"] < info["scores"]["constant"]["rmse"]
    assert invoke("report", out).exit_code == 0


@pytest.mark.slow
def test_predictions_are_a_folder_with_a_file_for_each(run, folder, tmp_path):
    out, _ = run
    result = invoke("predict", out, folder, "--out", tmp_path / "new", "--keep")
    assert "Wrote 2,400 rows" in result.stdout
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [f"part-{n}.parquet" for n in range(3)]
    found = pd.read_parquet(tmp_path / "new" / "part-1.parquet")
    model = vb.load(out / "model.varbump")
    np.testing.assert_allclose(found["mean"], model.predict(table(1).drop(columns="y")), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "{folder}/none-*.parquet", "-t", "y"], "no file matches this pattern"),
        (["fit", "{folder}", "-t", "z"], "has no column 'z'"),
        (["fit", "{folder}", "-t", "y", "--drop-missing"], "--drop-missing is for a single table"),
        (["fit", "{folder}/part-0.parquet", "-t", "y", "--checkpoint", "x"], "--checkpoint is for several files"),
        (["predict", "{run}", "{folder}", "--out", "{folder}/all.parquet"], "must be a folder to make"),
    ],
)
def test_slips_are_named(run, folder, arguments, sentence):
    out, _ = run
    result = invoke(*(argument.format(folder=folder, run=out) for argument in arguments), code=1)
    assert sentence in " ".join(result.stderr.split())


def test_a_source_is_split_by_groups(folder):
    source = vb.sources.ParquetSource(folder, "y", ["a", "b"])
    train, held = source.split(0.25, seed=1)
    assert (train.num_data, held.num_data) == (1_800, 600)
    assert len({source.digest, train.digest, held.digest, source.split(0.25, seed=2)[0].digest}) == 4
    both = [rows.x["a"] for part in (train, held) for g in range(len(part.groups)) for rows in part.read_table(g, 500)]
    np.testing.assert_array_equal(np.sort(np.concatenate(both)), np.sort(pd.read_parquet(folder)["a"]))
    with pytest.raises(ValueError, match="share must be"):
        source.split(1.5)


@pytest.mark.slow
def test_a_checkpoint_has_the_bits_of_a_fit_without(folder, tmp_path):
    options = {"hidden_layer_sizes": (5,), "n_members": 2, "max_iter": 3, "random_state": 0}
    source = vb.sources.ParquetSource(folder, "y", block_rows=500)
    whole = vb.VariationalRegressor(**options).fit(source)
    for _ in range(2):
        again = vb.VariationalRegressor(**options).fit_with_checkpoint(source, tmp_path)
        for a, b in zip(whole.ensemble_.values, again.ensemble_.values, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="random_state must be an integer with a checkpoint"):
        vb.VariationalRegressor(**{**options, "random_state": None}).fit_with_checkpoint(source, tmp_path)
