"""From a table to a run, predictions and a page, with a tiny training."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from edited_json import edited
from hypothesis import HealthCheck, given, settings, strategies as st
from invoked import invoke
from pyarrow import csv, parquet

import varbump as vb
from varbump.cli.app import varbump as command
from varbump.cli.run_content import STATISTICS
from varbump.cli.tables import open_table

EVIL = '<script>alert("x")</script>'
PLAIN = ("--likelihood", "normal", "--embedding", "none")  # one network for all tests
FEATURES = ["a", EVIL, "größe $x^2", "constant"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two targets, one of which has a constant feature and one of which has a name that is HTML."""
    folder = tmp_path_factory.mktemp("cli")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 4)) * [1, 10, 100, 0] + [0, 0, 0, 5]
    y = np.stack([x[:, 0] ** 2, x[:, 1] + x[:, 2]], axis=1) + generator.normal(size=(60, 2))
    table = pa.table(dict(zip([*FEATURES, "y", "z<b>"], np.hstack([x, y]).T, strict=True)))
    csv.write_csv(table, folder / "data.csv")
    arguments = ["fit", folder / "data.csv", "-t", "y", "-t", "z<b>", "--out", folder / "run"]
    result = invoke(*arguments, "--max-iter", 3, "--members", 2, *PLAIN, "--hidden", "5", "--json")
    return folder, json.loads(result.stdout), x, y


def test_fit_tells_what_was_done(run):
    folder, shown, x, y = run
    names = [
        "band.png",
        "calibration.png",
        "dependence.png",
        "held_out.csv",
        "model.varbump",
        "observed.png",
        "run.json",
    ]
    names += ["training.png"]
    assert sorted(path.name for path in (folder / "run").iterdir()) == names
    info = json.loads((folder / "run" / "run.json").read_text())
    assert info == {key: value for key, value in shown.items() if key != "run"}
    assert info["rows"] == {"train": 48, "held_out": 12, "scored": 12}
    assert info["data"]["rows"] == 60
    assert re.fullmatch("[0-9a-f]{64}", info["data"]["sha256"])
    assert [feature["name"] for feature in info["features"]] == FEATURES


@pytest.mark.slow
def test_scores_are_those_of_evaluate_and_of_naive_loops(run):
    folder, shown, x, y = run
    info = shown
    model = vb.load(folder / "run" / "model.varbump")
    held_out = open_table(folder / "run" / "held_out.csv").read([*FEATURES, "y", "z<b>"])
    evaluation = vb.evaluate(model, held_out[:, :4], held_out[:, 4:])
    assert info["scores"]["varbump"]["log_likelihood"] == pytest.approx(evaluation.log_likelihood, rel=1e-6)
    kept = np.array([row for row in np.hstack([x, y]) if not (np.abs(held_out - row).max(axis=1) < 1e-9).any()])
    assert len(kept) == 48
    mean, sd = kept[:, 4:].mean(axis=0), kept[:, 4:].std(axis=0)
    constant = info["scores"]["constant"]
    assert constant["rmse"] == pytest.approx(np.sqrt(((held_out[:, 4:] - mean) ** 2).mean(axis=0)).mean())
    nats = -0.5 * ((held_out[:, 4:] - mean) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))
    assert constant["log_likelihood"] == pytest.approx(nats.sum(axis=1).mean())


@pytest.mark.slow
def test_predictions_are_those_of_the_regressor(run):
    folder, _, x, _ = run
    model = vb.load(folder / "run" / "model.varbump")
    mean, sd = model.predict(x, return_std=True)
    upper = model.predict_quantiles(x, [0.975])[:, 0]
    shuffled = pa.table({"other": ["x"] * 60, **dict(zip(FEATURES[::-1], x.T[::-1], strict=True))})
    csv.write_csv(shuffled, folder / "new.csv")
    # text has 7 significant digits, see varbump.cli.digits; in binary files there is only the rounding of x, 1e-16
    for name, rtol in (("p.tsv.gz", 5e-7), ("p.parquet", 1e-12)):
        out = folder / name
        invoke("predict", folder / "run", folder / "new.csv", "--out", out, "--intervals", "95,50", "--quiet")
        table = open_table(out)
        ends = ["lower_50", "upper_50", "lower_95", "upper_95"]
        assert table.columns == [f"{t}_{what}" for t in ("y", "z<b>") for what in ("mean", "sd", *ends)]
        values = table.read(table.columns)
        np.testing.assert_allclose(values[:, [0, 6]], mean, rtol=rtol)
        np.testing.assert_allclose(values[:, [1, 7]], sd, rtol=rtol)
        np.testing.assert_allclose(values[:, [5, 11]], upper, rtol=max(rtol, 1e-9))


@pytest.mark.slow
def test_standard_output_and_kept_columns(run):
    folder, _, x, _ = run
    rows = [",".join(f'"{n}"' if n != EVIL else '"' + EVIL.replace('"', '""') + '"' for n in [*FEATURES, "id"])]
    rows += ["1,2,3,5,0007", '1.50,2,3,5,"x,""y"""']
    (folder / "keep.csv").write_text("\n".join(rows))
    result = invoke("predict", folder / "run", folder / "keep.csv", "--out", "-", "--keep")
    table = csv.read_csv(pa.py_buffer(result.stdout.encode()), convert_options=csv.ConvertOptions(
        column_types={"id": pa.string(), "a": pa.string()}))  # fmt: skip
    assert table.column("id").to_pylist() == ["0007", 'x,"y"']
    assert table.column("a").to_pylist() == ["1", "1.50"]
    assert table.num_columns == 5 + 8
    assert result.stderr == ""


@pytest.mark.slow
def test_from_standard_input_to_standard_output(run):
    """The same bytes as from a file."""
    folder, *_ = run
    of_file = invoke("predict", folder / "run", folder / "data.csv", "--out", "-")
    content = (folder / "data.csv").read_bytes()
    piped = CliRunner().invoke(command, ["predict", str(folder / "run"), "-", "--out", "-"], input=content)
    assert piped.stdout == of_file.stdout
    assert piped.stderr == ""


@pytest.mark.slow
def test_rows_with_empty_cells(run):
    folder, _, x, _ = run
    holes = np.where(np.arange(60) == 7, np.nan, x[:, 0])
    parquet.write_table(pa.table(dict(zip(FEATURES, [holes, *x.T[1:]], strict=True))), folder / "holes.parquet")
    out = folder / "holes.csv"
    result = invoke("predict", folder / "run", folder / "holes.parquet", "--out", out, code=1)
    assert "row 8, column 'a'" in result.stderr
    assert not out.exists()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    shown = json.loads(
        invoke("predict", folder / "run", folder / "holes.parquet", "--out", out, "--skip-missing", "--json").stdout
    )
    assert (shown["rows"], shown["skipped"]) == (60, 1)
    values = open_table(out).read(["y_mean", "y_sd"])
    assert np.isnan(values[7]).all()
    assert np.isfinite(np.delete(values, 7, axis=0)).all()


def damaged(**changes):
    def damage(run):
        info = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(info | changes))

    return damage


COLUMN = {"name": "y", **dict.fromkeys((*STATISTICS, "mean", "sd"), 0)}


def other_targets(run):
    info = json.loads((run / "run.json").read_text()) | {"targets": [COLUMN], "noise_sd": [1.0]}
    kept = {name: value for name, value in info.items() if name not in ("dependence", "uncertain")}
    (run / "run.json").write_text(json.dumps(kept))


def shifted(run):
    """The features in another order: every prediction would be wrong."""
    info = json.loads((run / "run.json").read_text())
    for feature, other in zip(info["features"], info["features"][1:], strict=False):
        feature["mean"] = other["mean"]
    (run / "run.json").write_text(json.dumps(info))


def cut_model(run):
    content = (run / "model.varbump").read_bytes()
    (run / "model.varbump").write_bytes(content[: len(content) // 2])


RUNS = {
    "no folder": (shutil.rmtree, ["no such folder"]),
    "no run.json": (lambda run: (run / "run.json").unlink(), ["no run.json"]),
    "no json": (lambda run: (run / "run.json").write_text("{"), ["damaged"]),
    "other json": (lambda run: (run / "run.json").write_text("[1]"), ["damaged"]),
    "deep json": (lambda run: (run / "run.json").write_text("[" * 100_000), ["damaged"]),
    "not text": (lambda run: (run / "run.json").write_bytes(b"\xff\xfe"), ["damaged"]),
    "later version": (damaged(format=2), ["format 2"]),
    "no features": (damaged(features=[]), ["damaged"]),
    "feature without a number": (damaged(features=[{"name": "a"}]), ["damaged"]),
    "features of another model": (other_targets, ["is not the model"]),
    "other numbers in a feature": (shifted, ["is not the model", "other numbers in column 'a'"]),
    "no model": (lambda run: (run / "model.varbump").unlink(), ["model.varbump"]),
    "cut model": (cut_model, ["model.varbump"]),
    "text as model": (lambda run: (run / "model.varbump").write_text("hello"), ["model.varbump"]),
}


@pytest.mark.parametrize("case", RUNS)
def test_damaged_runs(case, run, tmp_path):
    damage, words = RUNS[case]
    shutil.copytree(run[0] / "run", tmp_path / "run")
    damage(tmp_path / "run")
    for arguments in (["predict", tmp_path / "run", run[0] / "data.csv", "--out", tmp_path / "p.csv"],
                      ["report", tmp_path / "run"]):  # fmt: skip
        result = invoke(*arguments, code=1)
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert all(word in result.stderr for word in words), result.stderr
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.slow
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_report_of_an_edited_run(run, tmp_path, data):
    """The page, or one sentence; never a traceback, and never half a page."""
    folder = tmp_path / "run"
    if not folder.exists():
        shutil.copytree(run[0] / "run", folder)
    (folder / "report.html").unlink(missing_ok=True)
    content = data.draw(edited(json.loads((run[0] / "run" / "run.json").read_text())))
    (folder / "run.json").write_bytes(content)
    result = CliRunner().invoke(command, ["report", str(folder)])
    assert isinstance(result.exception, (SystemExit, type(None))), (content, result.exception)
    assert result.exit_code in (0, 1)
    if result.exit_code:
        assert result.stderr.count("\n") == 1
        assert len(result.stderr) < 600
    assert (folder / "report.html").exists() == (result.exit_code == 0)


HELD_OUT = {
    "empty": ("", "held_out.csv is empty"),
    "a header only": ("a\n", "held_out.csv has no"),
    "an empty cell": (None, "is damaged: it has empty or infinite cells"),
}


@pytest.mark.parametrize("case", HELD_OUT)
def test_held_out_rows_that_were_changed(case, run, tmp_path):
    text, words = HELD_OUT[case]
    shutil.copytree(run[0] / "run", tmp_path / "run")
    path = tmp_path / "run" / "held_out.csv"
    if text is None:
        header, first, *others = path.read_text().splitlines()
        text = "\n".join([header, "," + first.split(",", 1)[1], *others])
    path.write_text(text)
    result = invoke("report", tmp_path / "run", code=1)
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_columns_that_are_no_text(run, tmp_path):
    """Lists can be kept in Parquet; for a text table they are refused before a line is written."""
    folder, _, x, _ = run
    table = pa.table({**dict(zip(FEATURES, x[:2].T, strict=True)), "list": [[1], [2]]})
    parquet.write_table(table, tmp_path / "new.parquet")
    for out in ("-", tmp_path / "p.csv"):
        result = invoke("predict", folder / "run", tmp_path / "new.parquet", "--keep", "--out", out, code=1)
        assert "--keep: a column cannot be written as text" in result.stderr
        assert result.stdout == ""
    assert not (tmp_path / "p.csv").exists()


PREDICTIONS = {
    "no percentages": (["--intervals", "half"], 2, "half"),
    "percentage of 100": (["--intervals", "50,100"], 2, "between 0 and 100"),
    "twice": (["--intervals", "50,50.0"], 2, "twice"),
    "nan": (["--intervals", "nan"], 2, "between"),
    "names that are one": (["--intervals", "95,95.00001"], 2, "at most six digits"),
    "an end beyond all numbers": (["--intervals", "99.99999999999999"], 2, "at most six digits"),
    "out exists": (["--out", "{folder}/data.csv"], 1, "is the table to read"),
    "out has no kind": (["--out", "{folder}/p.xlsx"], 1, ".csv, .tsv or .parquet"),
    "out is a pipe": (["--out", "{folder}/pipe.csv", "--force"], 1, "is a named pipe"),
    "out is a directory": (["--out", "{folder}/d.csv"], 1, "is a directory"),
    "no such parent": (["--out", "{folder}/no/p.csv"], 1, "does not exist"),
    "json and stdout": (["--out", "-", "--json"], 2, "--json"),
}


@pytest.mark.parametrize("case", PREDICTIONS)
def test_bad_arguments_of_predict(case, run):
    folder = run[0]
    (folder / "d.csv").mkdir(exist_ok=True)
    if not (folder / "pipe.csv").exists():
        os.mkfifo(folder / "pipe.csv")
    arguments, code, word = PREDICTIONS[case]
    arguments = [argument.format(folder=folder) for argument in arguments]
    out = [] if "--out" in arguments else ["--out", folder / "never.csv"]
    result = invoke("predict", folder / "run", folder / "data.csv", *out, *arguments, code=code)
    assert word in result.output
    assert not (folder / "never.csv").exists()


def test_missing_feature_of_predict(run):
    folder = run[0]
    (folder / "less.csv").write_text("a\n1\n")
    result = invoke("predict", folder / "run", folder / "less.csv", "--out", folder / "never.csv", code=1)
    assert "less.csv has no column" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_one_sentence(run, monkeypatch):
    folder = run[0]

    def on_a_full_disk(target):
        link = target.with_name(".full")  # a link to the device, which may be removed
        link.symlink_to("/dev/full")
        return link

    monkeypatch.setattr("varbump.core.files._name_beside", on_a_full_disk)
    for name in ("full.csv", "full.parquet"):
        result = invoke("predict", folder / "run", folder / "data.csv", "--out", folder / name, code=1)
        assert "No space left on device" in result.stderr
        assert not (folder / name).exists()


class Page(HTMLParser):
    """Tags and what they refer to."""

    def __init__(self):
        super().__init__()
        self.tags, self.references, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "style")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(run):
    invoke("report", run[0] / "run")
    return run[0] / "run" / "report.html"


@pytest.mark.slow
def test_the_page_stands_alone_and_escapes_names(report):
    text = report.read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(r.startswith(("data:image/png;base64,", "width:")) for r in page.references)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "&lt;script&gt;" in text
    assert "z&lt;b&gt;" in text
    assert 'name="viewport"' in text
    # observed, calibration, training, one along each feature, and partial dependence on those that are not constant
    assert page.tags.count("img") == 3 + len(FEATURES) + len(FEATURES) - 1
    for words in (
        "Scores on held-out rows",
        "Calibration",
        "Relevance",
        "Permutation",
        "unsure of",
        "Parameters",
        "prefers-color-scheme",
    ):
        assert words in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 500])
def test_a_browser_shows_the_page_without_sideways_scrolling(report, width, tmp_path):
    """The page writes its own width into the title by a script that is added here; 500 is a browser window's least."""
    probe = "<script>document.title = document.documentElement.scrollWidth + ' ' + innerWidth</script></body>"
    (tmp_path / "page.html").write_text(report.read_text().replace("</body>", probe))
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    address = (tmp_path / "page.html").as_uri()
    result = subprocess.run(
        ["chromium", *arguments, f"--window-size={width},900", address], capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    content, window = map(int, re.search(r"<title>(\d+) (\d+)</title>", result.stdout).groups())
    assert content <= window


@pytest.mark.slow
def test_no_held_out_rows(run, tmp_path):
    folder = run[0]
    arguments = ["fit", folder / "data.csv", "-t", "y", "--features", "a", "--test-size", 0, "--max-iter", 1]
    result = invoke(*arguments, "--members", 1, *PLAIN, "--hidden", "none", "--out", tmp_path / "run")
    assert "Parameters" in result.stdout
    assert not (tmp_path / "run" / "held_out.csv").exists()
    invoke("report", tmp_path / "run", "--quiet")
    assert "No rows were held out" in (tmp_path / "run" / "report.html").read_text()


def test_version_and_help():
    assert invoke("--version").stdout == f"varbump {vb.__version__}\n"
    for name in ("fit", "predict", "report", "compare", "demo"):
        assert "Usage:" in invoke(name, "--help").stdout


@pytest.mark.slow
def test_demo(tmp_path):
    shown = json.loads(invoke("demo", "--out", tmp_path / "cubic.png", "--json").stdout)
    assert (tmp_path / "cubic.png").read_bytes().startswith(b"\x89PNG")
    assert shown["epistemic_sd_right_end"] > 3 * shown["epistemic_sd_inside"]


@pytest.mark.slow
def test_without_options_candidates_are_pooled_and_told(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 2))
    csv.write_csv(pa.table({"a": x[:, 0], "b": x[:, 1], "y": x[:, 0] ** 2}), tmp_path / "data.csv")
    arguments = [tmp_path / "data.csv", "-t", "y", "--out", tmp_path / "run", "--max-iter", 3, "--members", 2]
    shown = invoke("fit", *arguments)
    assert "50-50, normal" in shown.stdout
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    weights = [one["weight"] for one in info["candidates"]]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1.0)
    assert all(np.isfinite(one["log_likelihood"]) for one in info["candidates"])
    assert len(info["features"]) == 2  # the columns of the forest are none of the table
    invoke("report", tmp_path / "run")
    assert "50, heteroscedastic, forest" in (tmp_path / "run" / "report.html").read_text()
    invoke("predict", tmp_path / "run", tmp_path / "data.csv", "--out", tmp_path / "predicted.csv")
