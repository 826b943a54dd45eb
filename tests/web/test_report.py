"""One template: command line and page write the same report of the same rows."""

import json
import pathlib
import shutil
import subprocess

import jinja2
import pytest

from covseg_tf import __version__
from covseg_tf.edge import load_bundle
from covseg_tf.edge.bundle import CARD
from covseg_tf.triage import TriageRow
from covseg_tf.triage.record import RunFacts
from covseg_tf.triage.report.html import environment, report_context
from covseg_tf.triage.report.trust import trust_line
from covseg_tf.triage.report.words import percent
from covseg_tf.web import build_site, write_site
from covseg_tf.web.template import template_script

WHEN = "2026-01-01T00:00:00Z"
ZONES = {
    f"{side}_{third}": value
    for value, side in ((0.0, "right"), (12.5, "left"))
    for third in ("upper", "middle", "lower")
}
EVIL = "<img src=x onerror='alert(1)'>\x1b\u2028\xa0&\".png"
# As the page holds them: what was found, flags, notes, an error.
ROWS = [
    {"file": "face.jpg", "flags": ["not_a_chest_xray", "no_lungs_found"]},
    {"file": "b/broken.png", "error": "damaged <b>"},
    {"file": f"a/b/{EVIL}", "numbers": [78.126, 92.5, 64.125], "extent": [7, 4, 3]},
    {"file": "/top.png", "numbers": [0.4, None, None], "notes": ["mirrored"]},
    {"file": "none.png", "numbers": [0.0, 0.0, 0.0], "extent": [0, 0, 0]},
    {"file": "cut.png", "numbers": [5.5, 5.5, 5.5], "flags": ["lungs_cut_off"]},
]
SCRIPT = """
import {readFileSync} from 'node:fs';
const [folder, file] = process.argv.slice(2);
const {contextOf} = await import(`${folder}/js/report.js`);
const {render} = await import(`${folder}/js/report_template.js`);
const {rows, segmenter, card, pictured} = JSON.parse(readFileSync(file));
const contexts = [contextOf(rows, segmenter, card), pictured];
const answers = [];
for (const context of contexts) {
  let text = '';
  for await (const piece of render(context)) text += piece;
  answers.push(text);
}
process.stdout.write(JSON.stringify(answers));
"""


def python_row(row):
    total, right, left = row.get("numbers", [None] * 3)
    extents = row.get("extent", [None] * 3)
    has_zones = "extent" in row
    return TriageRow(
        row["file"],
        involved_percent=total,
        involved_percent_right=right,
        involved_percent_left=left,
        extent=extents[0],
        extent_right=extents[1],
        extent_left=extents[2],
        zones=3 if has_zones else None,
        zone_percents=ZONES if has_zones else None,
        zone_threshold=5.0 if has_zones else None,
        flags=tuple(row.get("flags", ())),
        notes=tuple(row.get("notes", ())),
        error=row.get("error", ""),
        finished=WHEN,
    )


def page_row(row):
    names = ("total", "right", "left")
    zones = {"percents": ZONES, "threshold": 5, "count": 3}
    found = {
        "involvement": dict(zip(names, row.get("numbers", [None] * 3), strict=True)),
        "extent": dict(zip(names, row.get("extent", [None] * 3), strict=True)),
        "zones": zones if "extent" in row else None,
    }
    return {
        "file": row["file"],
        "found": None if "error" in row else found,
        "shown": None,
        "rows": 0,
        "columns": 0,
        "flags": row.get("flags", []),
        "notes": row.get("notes", []),
        "error": row.get("error", ""),
        "finished": WHEN,
    }


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What Python and the page write, without pictures and with."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: the page's report is not written outside a browser")
    folder = tmp_path_factory.mktemp("page")
    site = write_site(build_site("xray_nano"), folder / "site")
    (site / "package.json").write_text('{"type": "module"}')
    bundle = load_bundle("xray_nano")
    digest = json.loads((bundle.folder / "bundle.json").read_text())["files"]
    facts = RunFacts(
        bundle.name,
        digest["model.tflite"],
        "xray",
        bundle.threshold,
        __version__,
        WHEN,
        WHEN,
    )
    context = report_context([*map(python_row, ROWS)], facts, bundle, len(ROWS))
    context["place"] = " in the browser"
    pictured = [
        card | {"film": "data:f", "paint": "data:p", "width": 3, "height": 4}
        for card in context["cards"]
    ]
    pictured = context | {"cards": pictured, "left_out": True}
    question = {
        "rows": [*map(page_row, ROWS)],
        "segmenter": {
            "bundle": json.loads((site / "model/bundle.json").read_text()),
            **json.loads((site / "model/page.json").read_text()),
        },
        "card": (site / "model" / CARD).read_text("utf-8"),
        "pictured": pictured,
    }
    (folder / "question.json").write_text(json.dumps(question))
    (folder / "ask.mjs").write_text(SCRIPT)
    result = subprocess.run(
        [node, folder / "ask.mjs", site, folder / "question.json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    template = environment().get_template("report.html")
    ours = [template.render(each) for each in (context, pictured)]
    return list(zip(ours, json.loads(result.stdout), strict=True))


@pytest.mark.parametrize("kind", [0, 1], ids=["rows", "pictures"])
def test_page_and_command_line_write_the_same(answers, kind):
    ours, theirs = answers[kind]
    assert theirs.splitlines() == ours.splitlines()
    assert ours.count("<article") == len(ROWS)
    assert ours.count("<img ") == 2 * len(ROWS) * kind


def test_what_a_reader_is_told(answers):
    text = answers[0][0]
    assert text.index("Needs a reader: not scored (2)") < text.index("face.jpg")
    assert text.index("face.jpg") < text.index("Most involved first (4)")
    assert "&lt;img src=x" in text
    assert "\x1b" not in text
    assert "\u2028" not in text
    assert ">78 %<" in text
    assert "< 1 %" not in text
    assert "&lt; 1 %" in text
    assert text.count("That does not mean healthy.") == 1
    assert text.count(trust_line(load_bundle("xray_nano"))) == 1 + 4


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((None, "–"), (0.0, "none seen"), (0.49, "< 1 %"), (0.5, "1 %")),
        *((12.5, "13 %"), (65.494, "65 %"), (65.495001, "66 %"), (100.0, "100 %")),
    ],
)
def test_percent_is_whole_and_never_0(value, words):
    assert percent(value) == words


def test_trust_is_what_was_measured_or_that_it_was_not():
    assert trust_line(load_bundle("xray_nano")) == (
        "How far to trust xray_nano: healthy images painted, 5 %; infected ones left "
        "empty, 0 % (Split Val of COVID-QU-Ex, 429 images)."
    )
    assert "painted, not measured" in trust_line(load_bundle("ct_small"))
    assert "left empty, not measured" in trust_line(load_bundle("ct_small"))


@pytest.mark.parametrize("text", ["{% set a = 1 %}", "{{ a | upper(1) }}", "{{ -a }}"])
def test_a_template_that_the_page_cannot_read_is_refused(text):
    made = jinja2.Environment(loader=jinja2.DictLoader({"x": text}), autoescape=True)
    with pytest.raises(ValueError, match="not translated for the page"):
        template_script(made, "x")


def test_templates_lie_beside_their_reader():
    folder = pathlib.Path(environment().loader.searchpath[0])
    assert {path.name for path in folder.iterdir() if path.is_file()} == {
        "report.html",
        "report.css",
        "card.html",
    }
