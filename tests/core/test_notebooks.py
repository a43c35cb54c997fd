"""What notebooks show, and that no `repr` is long."""

import html.parser

import numpy as np
import pytest
from made_up import evaluation

import varbump as vb
from varbump.core.printed import Printed, Short
from varbump.debug.gradients import WeightGradient
from varbump.diagnostics.khat import KhatReport
from varbump.diagnostics.parameters import LayerReport, ParameterReport
from varbump.diagnostics.weights import LayerWeights

MANY = np.linspace(0.0, 1.0, 5_000)

BANDS = vb.credible_bands(np.stack([MANY, MANY + 1.0, MANY + 3.0])[..., None])

HISTORY = vb.History({"loss": [3.0, 1.0, 2.0] * 1_000, "<b>": [1.0] * 3_000}, num_data=7, steps_per_epoch=2)

LAYERS = tuple(LayerReport(f"<script>{index}", 3, 6) for index in range(3))

REPORTS = [
    ParameterReport(LAYERS, num_data=9),
    BANDS,
    HISTORY,
    evaluation(num=4_000),
    evaluation(num=4_000).pit_histogram(),
    vb.coverage_by_region(evaluation(num=5_000), MANY),
    vb.GradientReport((WeightGradient("<script>", "kernel", (16, 16), "ok", 0.012, 0.5),), 1.0, 9),
    KhatReport(khat=0.31, num_weights=12_345, num_draws=4000, log_ratio_sd=0.123),
    LayerWeights("layer", MANY, MANY + 1.0, MANY, MANY + 1.0),
    vb.ImportanceDraws(None, (np.zeros((500, 90)),), np.zeros((500, 8)), HISTORY, 1.0),
    vb.programs(),
]


class Tags(html.parser.HTMLParser):
    """Tags that are opened and closed, and the text between them."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_reprs_are_one_line(report):
    text = repr(report)
    assert text.count("\n") == 0
    assert len(text) < 1_000
    assert text.startswith(("<", type(report).__name__))


@pytest.mark.parametrize("report", [report for report in REPORTS if hasattr(report, "_repr_html_")])
def test_html_is_small_well_formed_and_escaped(report):
    text = report._repr_html_()
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert set(tags.seen) <= {"div", "p", "pre", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert tags.seen.count("tr") < 30
    assert str(report).count("\n") < 60


def test_tables_have_the_numbers_of_the_printed_ones():
    tags = Tags()
    tags.feed(REPORTS[0]._repr_html_())
    assert "<script>1" in tags.text  # a name, as text
    assert "[bold]" not in tags.text
    tags = Tags()
    tags.feed(BANDS._repr_html_())
    assert {"mean", "sd", "50 %", "95 %", "4,999", "1.333"} <= set(tags.text)
    tags = Tags()
    tags.feed(HISTORY._repr_html_())
    assert {"loss", "3", "1", "2", "first", "lowest", "last", "<b>"} <= set(tags.text)


def test_bands_print_their_ends():
    lines = str(BANDS).splitlines()
    assert "Bands of draws of unknown kind at 5,000 rows" in lines[0]
    assert len(lines) < 20
    assert len(str(vb.credible_bands(np.zeros((3, 2, 2)) + np.arange(3)[:, None, None], levels=())).splitlines()) < 10


def test_histories_are_still_one_line():
    assert str(HISTORY) == repr(HISTORY) == "History of 3,000 epochs of 2 steps; the last: loss 2, <b> 1"


def test_no_report_has_the_long_repr_of_a_dataclass():
    kinds = [Printed, Short]
    while kinds:
        cls = kinds.pop()
        kinds += cls.__subclasses__()
        parameters = vars(cls).get("__dataclass_params__")
        assert parameters is None or not parameters.repr, cls
