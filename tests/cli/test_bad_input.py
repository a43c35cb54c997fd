"""Every slip of a user ends in one sentence, exit code 1 or 2, and nothing written."""

import gzip
import hashlib
import json
import os
import tempfile
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

import varbump.cli.fitting
from varbump.cli.app import varbump as command

ROWS = [f"{i},{i * i % 7},{0.5 * i}" for i in range(12)]
GOOD = "\n".join(["a,b,y", *ROWS]) + "\n"


def with_row(row, at=3, header="a,b,y"):
    """The good table with another row: spreadsheet row `at` + 2."""
    return "\n".join([header, *ROWS[:at], row, *ROWS[at:]]) + "\n"


def made_parquet(**columns):
    def write(path):
        parquet.write_table(pa.table(columns), path)

    return write


def permission(path):
    path.write_text(GOOD)
    path.chmod(0)


NUMBERS = list(range(12))
SMALL = ["-t", "y"]

# file, its content (None: no file; a function makes it), arguments, exit code, words of the sentence
CASES = {
    "missing file": ("data.csv", None, SMALL, 1, ["data.csv", "no such file"]),
    "mistyped file": ("datas.csv", None, SMALL, 1, ["datas.csv", "did you mean 'data.csv'"]),
    "directory": ("data.csv", lambda path: path.mkdir(), SMALL, 1, ["is a directory"]),
    "unknown suffix": ("data.xlsx", GOOD, SMALL, 1, ["data.xlsx", ".csv, .tsv or .parquet"]),
    "no suffix": ("data", GOOD, SMALL, 1, ["data", ".csv"]),
    "unreadable": ("data.csv", permission, SMALL, 1, ["permission denied"]),
    "pipe": ("data.csv", lambda path: os.mkfifo(path), SMALL, 1, ["data.csv is no regular file", "write -"]),
    "device": ("/dev/null", None, SMALL, 1, ["/dev/null is no regular file", "write -"]),
    "no standard input": ("-", None, SMALL, 1, ["standard input is empty"]),
    "empty file": ("data.csv", "", SMALL, 1, ["data.csv is empty"]),
    "only a line break": ("data.csv", "\n", SMALL, 1, ["has no rows"]),
    "header only": ("data.csv", "a,b,y\n", SMALL, 1, ["has no rows"]),
    "header without line break": ("data.csv", "a,b,y", SMALL, 1, ["has no rows"]),
    "one row": ("data.csv", "a,b,y\n1,2,3\n", SMALL, 1, ["has 1 row;", "at least 10"]),
    "too few rows": ("data.csv", "a,y\n1,2\n3,4\n", SMALL, 1, ["has 2 rows;", "at least 10"]),
    "short row": ("data.csv", with_row("1,2"), SMALL, 1, ["row 5", "2 cells", "header has 3"]),
    "long row": ("data.csv", with_row("1,2,3,4"), SMALL, 1, ["row 5", "4 cells", "header has 3"]),
    "semicolons": ("data.csv", GOOD.replace(",", ";"), SMALL, 1, ["single column", '--delimiter ";"']),
    "tabs in a csv": ("data.csv", GOOD.replace(",", "\t"), SMALL, 1, ["single column", '--delimiter "tab"']),
    "commas in a tsv": ("data.tsv", GOOD, SMALL, 1, ["single column", '--delimiter ","']),
    "delimiter of two": ("data.csv", GOOD, [*SMALL, "--delimiter", ";;"], 1, ["--delimiter", "';;'"]),
    "delimiter of parquet": (
        "data.parquet",
        made_parquet(a=NUMBERS, y=NUMBERS),
        [*SMALL, "--delimiter", ";"],
        1,
        ["--delimiter", "Parquet"],
    ),  # fmt: skip
    "latin-1 header": ("data.csv", GOOD.replace("a,", "ä,", 1).encode("latin-1"), SMALL, 1, ["header", "UTF-8"]),
    "latin-1 cell": ("data.csv", with_row("ä,1,2").encode("latin-1"), SMALL, 1, ["UTF-8"]),
    "utf-16": ("data.csv", GOOD.encode("utf-16"), SMALL, 1, ["binary"]),
    "binary": ("data.csv", bytes(range(256)) * 4, SMALL, 1, ["binary"]),
    "nul byte later on": ("data.csv", GOOD * 400 + "1,\0,2\n", SMALL, 1, ["not a number"]),
    "no gzip": ("data.csv.gz", GOOD, SMALL, 1, ["data.csv.gz", "cannot be read"]),
    "cut gzip": ("data.csv.gz", gzip.compress(GOOD.encode())[:-20], SMALL, 1, ["data.csv.gz"]),
    "no parquet": ("data.parquet", GOOD, SMALL, 1, ["not a Parquet file"]),
    "empty parquet": ("data.parquet", made_parquet(a=pa.array([], "f8"), y=pa.array([], "f8")), SMALL, 1, ["no rows"]),
    "text as target": ("data.parquet", made_parquet(a=NUMBERS, y=["x"] * 12), SMALL, 1, ["row 1", "'y'", "'x'"]),
    "lists as category": (
        "data.parquet",
        made_parquet(a=[[1]] * 12, y=NUMBERS),
        [*SMALL, "--categorical", "a"],
        1,
        ["'a'", "list", "not words"],
    ),
    "parquet with lists": ("data.parquet", made_parquet(a=[[1]] * 12, y=NUMBERS), SMALL, 1, ["'a'", "list"]),
    "duplicate columns": ("data.csv", GOOD.replace("a,b,y", "a,a,y"), SMALL, 1, ["more than one column 'a'"]),
    "nameless column": ("data.csv", GOOD.replace("a,b,y", "a,,y"), SMALL, 1, ["column 2 has no name"]),
    "trailing delimiter": ("data.csv", GOOD.replace("\n", ",\n"), SMALL, 1, ["column 4 has no name", "delimiter"]),
    "no header": ("data.csv", "\n".join(ROWS), SMALL, 1, ["no header", "first row", "names"]),
    "missing target": ("data.csv", GOOD, ["-t", "z"], 1, ["no column 'z'", "--target"]),
    "mistyped target": ("data.csv", GOOD.replace("y", "price"), ["-t", "prize"], 1, ["did you mean 'price'"]),
    "missing feature": ("data.csv", GOOD, [*SMALL, "--features", "a,c"], 1, ["no column 'c'", "--features"]),
    "target twice": ("data.csv", GOOD, [*SMALL, *SMALL], 1, ["'y' twice"]),
    "feature twice": ("data.csv", GOOD, [*SMALL, "--features", "a,a"], 1, ["--features", "'a' twice"]),
    "target as feature": ("data.csv", GOOD, [*SMALL, "--features", "a,y"], 1, ["'y' is both"]),
    "no feature left": ("data.csv", "y\n" + "1\n2\n" * 6, SMALL, 1, ["no column left"]),
    "empty features": ("data.csv", GOOD, [*SMALL, "--features", ""], 1, ["no column ''"]),
    "category": ("data.csv", with_row("red,1,2"), SMALL, 1, ["row 5", "'a'", "'red'", "--categorical"]),
    "thousands": ("data.csv", with_row('"1,234,567",1,2'), SMALL, 1, ["row 5", "'1,234,567'", "thousands"]),
    "decimal comma": ("data.csv", with_row('"1,5",1,2'), SMALL, 1, ["row 5", "'1,5'", "point"]),
    "date": ("data.csv", with_row("2024-02-29,1,2"), SMALL, 1, ["row 5", "2024-02-29", "dates"]),
    "long cell": ("data.csv", with_row("x" * 200_000 + ",1,2"), SMALL, 1, ["row 5", "xxx..."]),
    "open quote": ("data.csv", with_row('"1,1,2'), SMALL, 1, ["data.csv"]),
    "empty target": ("data.csv", with_row("1,2,"), SMALL, 1, ["1 empty", "row 5", "'y'", "--drop-missing"]),
    "nan and inf": ("data.csv", with_row("1,inf,nan"), SMALL, 1, ["1 empty and 1 infinite", "row 5"]),
    "a date that is none": (
        "data.csv",
        "a,y\n" + "".join(f"2024-01-{i:02},{i}\n" for i in range(1, 13)) + "2024-02-30,1\n",
        SMALL,
        1,
        ["row 14", "'a'", "2024-02-30", "not a date", "--categorical"],
    ),
    "text declared to be numbers": (
        "data.csv",
        "a,y\n" + "".join(f"{c},{i}\n" for i, c in enumerate("pqr" * 5)),
        [*SMALL, "--numeric", "a"],
        1,
        ["row 2", "'a'", "'p'"],
    ),
    "unknown category": ("data.csv", GOOD, [*SMALL, "--categorical", "c"], 1, ["no column 'c'", "--categorical"]),
    "target as category": ("data.csv", GOOD, [*SMALL, "--categorical", "y"], 1, ["'y'", "no feature"]),
    "declared twice": (
        "data.csv",
        GOOD,
        [*SMALL, "--categorical", "a", "--numeric", "b,a"],
        1,
        ["'a'", "leave out one"],
    ),
    "too large a number": ("data.csv", with_row("1e400,1,2"), SMALL, 1, ["too large", "row 5", "'a'"]),
    "large numbers": ("data.csv", with_row("1e200,1,2"), SMALL, 1, ["'a'", "beyond 1e154"]),
    "all dropped": ("data.csv", "a,y\n" + ",1\n" * 20, [*SMALL, "--drop-missing"], 1, ["0 rows without empty cells"]),
    "constant target": ("data.csv", "a,y\n" + "".join(f"{i},4\n" for i in range(12)), SMALL, 1, ["'y' is 4 in every"]),
    "feature named as a prediction": (
        "data.csv",
        GOOD.replace("b", "mean"),
        SMALL,
        1,
        ["'mean'", "predictions", "rename"],
    ),
    "feature named as an interval": ("data.csv", GOOD.replace("b", "lower_2.5"), SMALL, 1, ["'lower_2.5'", "rename"]),
    "feature named as one of several": (
        "data.csv",
        GOOD.replace("b", "y_sd"),
        [*SMALL, "-t", "a"],
        1,
        ["'y_sd'", "rename"],
    ),
    "target named as a prediction": ("data.csv", GOOD.replace("y", "sd"), ["-t", "sd"], 1, ["'sd'", "rename"]),
    "feature named as in held_out.csv": (
        "data.csv",
        GOOD.replace("b", "predicted sd of y"),
        SMALL,
        1,
        ["'predicted sd of y'", "rename"],
    ),
    "out exists": ("data.csv", GOOD, [*SMALL, "--out", "taken"], 1, ["taken exists", "--force"]),
    "out is no run": ("data.csv", GOOD, [*SMALL, "--out", "other", "--force"], 1, ["other", "will not be replaced"]),
    "out is a pipe": ("data.csv", GOOD, [*SMALL, "--out", "pipe"], 1, ["pipe is a named pipe"]),
    "out is a file": ("data.csv", GOOD, [*SMALL, "--out", "file"], 1, ["file is a file"]),
    "out without parent": ("data.csv", GOOD, [*SMALL, "--out", "no/run"], 1, ["does not exist"]),
    "no target": ("data.csv", GOOD, [], 2, ["--target"]),
    "no data": (None, None, SMALL, 2, ["DATA"]),
    "test size": ("data.csv", GOOD, [*SMALL, "--test-size", "1.5"], 2, ["--test-size", "1.5"]),
    "test size that is none": ("data.csv", GOOD, [*SMALL, "--test-size", "nan"], 2, ["--test-size", "nan"]),
    "endless passes": ("data.csv", GOOD, [*SMALL, "--max-iter", "9" * 30], 2, ["--max-iter"]),
    "negative seed": ("data.csv", GOOD, [*SMALL, "--seed", "-1"], 2, ["--seed"]),
    "unknown likelihood": ("data.csv", GOOD, [*SMALL, "--likelihood", "binomial"], 2, ["binomial", "student_t"]),
    "unknown family": ("data.csv", GOOD, [*SMALL, "--posterior", "cauchy"], 2, ["--posterior", "cauchy", "low_rank"]),
    "unknown prior": ("data.csv", GOOD, [*SMALL, "--prior", "flat"], 2, ["--prior", "flat", "laplace"]),
    "unknown option": ("data.csv", GOOD, [*SMALL, "--epoch", "3"], 2, ["--epoch"]),
    "layers": ("data.csv", GOOD, [*SMALL, "--hidden", "50;50"], 2, ["50;50"]),
    "no members": ("data.csv", GOOD, [*SMALL, "--members", "0"], 2, ["--members"]),
}


def snapshot(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def never(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", never)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "run.json").write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("case", CASES)
def test_one_sentence_and_nothing_written(case, as_json, folder):
    name, content, arguments, code, words = CASES[case]
    if case == "unreadable" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    if case == "mistyped file":
        (folder / "data.csv").write_text(GOOD)
    if callable(content):
        content(folder / name)
    elif content is not None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = snapshot(folder)
    given = ["fit", *([name] if name else []), *arguments, *(["--json"] if as_json else [])]
    result = CliRunner().invoke(command, given)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    if as_json:
        assert list(json.loads(result.stdout)) == ["error"]
        sentence = json.loads(result.stdout)["error"]
        assert result.stderr == ""
    else:
        assert result.stdout == ""
        sentence = result.stderr.splitlines()[-1]
        assert result.stderr.count("\n") == 1 or code == 2
    assert len(sentence) < 400
    for word in words:
        assert word in sentence
    assert snapshot(folder) == before


class Stub:
    """What fit_rows returns, without training."""

    info = {"format": 1}
    summary = ()
    last = None

    def __init__(self, columns, rows, options, *, verbose):
        Stub.last = (columns, rows)

    def write(self, folder):
        (folder / "model.varbump").write_text("")


FINE = {
    "byte order mark": ("data.csv", b"\xef\xbb\xbf" + GOOD.encode(), SMALL, ["a", "b"]),
    "line ends of Windows": ("data.csv", GOOD.replace("\n", "\r\n"), SMALL, ["a", "b"]),
    "no last line end": ("data.csv", GOOD.rstrip(), SMALL, ["a", "b"]),
    "spaces": ("data.csv", GOOD.replace("a,b", "unit price,b").replace(",", ", "), ["-t", " y"], ["unit price", " b"]),
    "unicode": ("data.csv", GOOD.replace("b", "größe µ"), SMALL, ["a", "größe µ"]),
    "quoted newline": ("data.csv", GOOD.replace("a,b", '"a\nb",b'), SMALL, ["a\nb", "b"]),
    "quoted cells": ("data.csv", "\n".join('"' + r.replace(",", '","') + '"' for r in GOOD.split()), SMALL, ["a", "b"]),
    "tsv": ("data.tsv", GOOD.replace(",", "\t"), SMALL, ["a", "b"]),
    "gzip": ("data.csv.gz", gzip.compress(GOOD.encode()), SMALL, ["a", "b"]),
    "delimiter": ("data.csv", GOOD.replace(",", ";"), [*SMALL, "--delimiter", ";"], ["a", "b"]),
    "parquet": (
        "data.parquet",
        made_parquet(a=NUMBERS, b=pa.array([n * n % 7 for n in NUMBERS], "f4"), y=[0.5 * n for n in NUMBERS]),
        SMALL,
        ["a", "b"],
    ),  # fmt: skip
    "text that is left out": ("data.csv", GOOD.replace("3,2,", "3,red,"), [*SMALL, "--features", "a"], ["a"]),
    "dropped": ("data.csv", with_row(",1,2"), [*SMALL, "--drop-missing"], ["a", "b"]),
}


@pytest.mark.parametrize("case", FINE)
def test_tables_that_are_fine(case, folder, monkeypatch):
    name, content, arguments, features = FINE[case]
    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", Stub)
    if callable(content):
        content(folder / name)
    else:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    result = CliRunner().invoke(command, ["fit", name, *arguments, "--out", "new"])
    assert result.exit_code == 0, result.output
    columns, rows = Stub.last
    assert columns.features == features
    expected = np.array([[float(cell) for cell in row.split(",")] for row in ROWS])
    np.testing.assert_array_equal(rows.y[:, 0], expected[:, 2])
    np.testing.assert_array_equal(rows.x, expected[:, : len(features)])
    assert json.loads((folder / "new" / "run.json").read_text())["data"]["file"] == name


def test_true_and_false_are_numbers(folder, monkeypatch):
    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", Stub)
    (folder / "data.csv").write_text("a,b,y\n" + "".join(f"{bool(i % 2)},{'fAlSe'},{i}\n" for i in range(12)))
    assert CliRunner().invoke(command, ["fit", "data.csv", *SMALL]).exit_code == 0
    np.testing.assert_array_equal(Stub.last[1].x, [[i % 2, 0] for i in range(12)])


EMPTY = """ ? - #N/A #n/a #NA -1.#IND -1.#QNAN -NaN -nan 1.#IND 1.#QNAN <NA> <na> N/A n/a NA na Na NULL Null null NaN
nan NAN None NONE none""".split()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_all_ways_to_write_an_empty_cell(folder, monkeypatch, kind):
    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", Stub)
    cells = ["", " ", "#N/A N/A", *EMPTY, *(str(i) for i in range(12))]
    if kind == "csv":
        (folder / "data.csv").write_text("a,y\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells)))
    else:
        parquet.write_table(
            pa.table({"a": pa.array(cells, pa.large_string()), "y": range(len(cells))}), folder / "data.parquet"
        )
    result = CliRunner().invoke(command, ["fit", f"data.{kind}", *SMALL])
    assert result.exit_code == 0, result.output
    assert np.isnan(Stub.last[1].x[:, 0]).sum() == len(cells) - 12
    result = CliRunner().invoke(command, ["fit", f"data.{kind}", *SMALL, "--drop-missing", "--force"])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(Stub.last[1].x[:, 0], range(12))


def made_csv(folder):
    return GOOD.encode()


def made_gzip(folder):
    return gzip.compress(GOOD.encode())


def made_in_parquet(folder):
    made_parquet(a=NUMBERS, b=NUMBERS, y=NUMBERS)(folder / "made.parquet")
    return (folder / "made.parquet").read_bytes()


@pytest.mark.parametrize(
    "made", [lambda folder: GOOD.encode(), made_gzip, made_in_parquet], ids=["csv", "gzip", "parquet"]
)
def test_standard_input(folder, monkeypatch, made):
    """The table, its name and its checksum are those of a file; nothing stays behind."""
    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", Stub)
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "other"))
    content = made(folder)
    result = CliRunner().invoke(command, ["fit", "-", *SMALL, "--out", "new"], input=content)
    assert result.exit_code == 0, result.output
    assert Stub.last[0].features == ["a", "b"]
    np.testing.assert_array_equal(Stub.last[1].x[:, 0], range(12))
    data = json.loads((folder / "new" / "run.json").read_text())["data"]
    assert (data["file"], data["sha256"]) == ("standard input", hashlib.sha256(content).hexdigest())
    assert os.listdir(folder / "other") == ["thesis.tex"]


def test_a_terminal_is_no_table(folder, monkeypatch):
    monkeypatch.setattr(
        "varbump.cli.standard_input.sys", SimpleNamespace(stdin=SimpleNamespace(closed=False, isatty=lambda: True))
    )
    result = CliRunner().invoke(command, ["fit", "-", *SMALL])
    assert result.exit_code == 1
    assert "standard input, which is a terminal; pipe a table into it" in result.stderr


def test_ten_thousand_columns(folder, monkeypatch):
    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", Stub)
    names = [f"c{i}" for i in range(10_000)]
    rows = [",".join(["1", *(str((i * j) % 11) for j in range(1, 10_000))]) for i in range(12)]
    (folder / "data.csv").write_text("\n".join([",".join(names), *rows]))
    assert CliRunner().invoke(command, ["fit", "data.csv", "-t", "c1"]).exit_code == 0
    assert Stub.last[1].x.shape == (12, 9_999)


def test_a_full_disk_leaves_nothing(folder, monkeypatch):
    class Full(Stub):
        def write(self, folder):
            (folder / "model.varbump").write_text("half")
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", Full)
    (folder / "data.csv").write_text(GOOD)
    before = snapshot(folder)
    for arguments in (["--out", "new"], ["--out", "taken", "--force"]):
        result = CliRunner().invoke(command, ["fit", "data.csv", *SMALL, *arguments])
        assert result.exit_code == 1
        assert "No space left on device" in result.stderr
        assert snapshot(folder) == before


def test_force_replaces_a_run_whole(folder, monkeypatch):
    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", Stub)
    (folder / "data.csv").write_text(GOOD)
    (folder / "taken" / "old.png").write_text("")
    assert CliRunner().invoke(command, ["fit", "data.csv", *SMALL, "--out", "taken", "--force"]).exit_code == 0
    assert sorted(path.name for path in (folder / "taken").iterdir()) == ["model.varbump", "run.json"]


def test_interrupted(folder, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", interrupted)
    (folder / "data.csv").write_text(GOOD)
    before = snapshot(folder)
    result = CliRunner().invoke(command, ["fit", "data.csv", *SMALL])
    assert (result.exit_code, result.stderr) == (130, "\nvarbump: interrupted; nothing was written\n")
    assert snapshot(folder) == before


@pytest.mark.skipif(os.name != "posix", reason="pipes and links of POSIX")
@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(("start", "name"), [(["fit", "data.csv", *SMALL], "out"), (["demo"], "out.png")])
def test_out_is_no_pipe_and_no_link_to_nowhere(folder, monkeypatch, start, name, force):
    monkeypatch.setattr(varbump.cli.fitting, "fit_rows", None)  # it is found before any work
    monkeypatch.setattr("varbump.cli.cubic.fit_cubic", None)
    (folder / "data.csv").write_text(GOOD)
    for words in (f"--out {name} is a named pipe", f"--out {name} is a link to nothing, which does not exist"):
        (folder / name).symlink_to("nothing") if "link" in words else os.mkfifo(folder / name)
        mode = os.lstat(folder / name).st_mode
        result = CliRunner().invoke(command, [*start, "--out", name, *force])
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert words in result.stderr
        assert os.lstat(folder / name).st_mode == mode
        (folder / name).unlink()
