"""The worklist in its three forms: JSON by a schema, CSV, HTML without a script."""

import csv
import dataclasses
import html.parser
import io
import json
import pathlib
import sys

import cv2
import jsonschema
import numpy as np
import pytest

from covseg_tf import cli
from covseg_tf.edge import Prediction, Zones, draw_phantom
from covseg_tf.edge.bundle import Bundle
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.triage import Film, Source, TriageRow, Volume, triage
from covseg_tf.triage.record import RunFacts, schema_text
from covseg_tf.triage.report import to_csv, to_json, write_report
from covseg_tf.triage.report.words import FLAG_TEXTS

FACTS = RunFacts(
    "tiny", "0" * 64, "xray", 0.5, "1.0", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
)
FULL = TriageRow(
    file="films/a.png",
    involved_percent=12.345,
    involved_percent_right=20.0,
    involved_percent_left=5.0,
    extent=2,
    extent_right=1,
    extent_left=1,
    zones=1,
    zone_percents={
        f"{side}_{third}": 1.0
        for side in ("right", "left")
        for third in ("upper", "middle", "lower")
    }
    | {"right_lower": 33.333},
    zone_threshold=5.0,
    rows=96,
    columns=96,
    notes=("inverted",),
    lung_mask="masks/a_lung.png",
    infection_mask="masks/a_infection.png",
    overlay="overlays/a.jpg",
    finished="2026-01-01T00:00:30Z",
)


class Drawn:
    """A segmenter that finds two lungs, the right one half infected."""

    guard = False

    def __init__(self, modality="xray", flags=()):
        self.flags = flags
        self.bundle = Bundle(
            name="drawn",
            folder=pathlib.Path("(in memory)"),
            preprocessing=PreprocessingSpec(100, 100),
            labels=("lung", "infection"),
            threshold=0.5,
            metrics={},
            license="",
            export={},
            model=b"",
            modality=modality,
        )

    def predict(self, image):
        lung, infection = np.zeros((2, 100, 100), np.uint8)
        lung[20:80, 10:40] = lung[20:80, 60:90] = 255
        infection[50:80, 10:40] = 255
        return Prediction(
            image.shape,
            lung,
            infection,
            guard_flags=self.flags,
            modality=self.bundle.modality,
        )


def source(image, name="a.png"):
    return Source(name, "1", lambda: image)


@pytest.fixture
def give(monkeypatch):
    """Makes `triage` find sources that a test made up."""

    def set_sources(*sources):
        module = sys.modules[triage.__module__]
        monkeypatch.setattr(module, "find_sources", lambda *_: list(sources))

    return set_sources


def validate(document):
    schema = json.loads(schema_text())
    checker = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    checker.validate(document)


def grey(size=100):
    return draw_phantom(1, 0.5, size).image


def test_schema_is_one_and_says_what_each_field_is():
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "urn:covseg-tf:triage-worklist:3"
    row = schema["$defs"]["row"]
    for fields in (schema, row):
        assert all(field["description"] for field in fields["properties"].values())
    assert set(schema["required"]) == set(schema["properties"])
    # Of rows that were asked whose film it is: the others stay as they were.
    asked = {"identity", "change_percent"}
    assert set(row["required"]) == set(row["properties"]) - asked
    assert list(row["properties"]) == list(TriageRow("a", identity={}).to_dict())
    assert row["required"] == list(TriageRow("a").to_dict())


def test_schema_is_printed_without_other_arguments(capsys):
    assert cli.main(["triage", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(schema_text())


def test_json_follows_the_schema():
    error = TriageRow("b.png", error="broken", finished="2026-01-01T00:00:30Z")
    document = json.loads(to_json([FULL, error], FACTS))
    validate(document)
    assert document["images"][0]["involved_percent"] == 12.35
    assert document["images"][0]["zone_percents"]["right_lower"] == 33.33
    assert document["images"][1]["zones"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("extent", 9), ("involved_percent", 101), ("kind", "photo"), ("file", "")],
)
def test_schema_refuses_what_cannot_be(field, value):
    document = json.loads(to_json([FULL], FACTS))
    document["images"][0][field] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


def test_csv_holds_the_same_flat():
    text = to_csv([FULL, TriageRow("=HYPERLINK(1)", error="+x")], FACTS)
    first, second = csv.DictReader(io.StringIO(text))
    assert first["percent_right_lower"] == "33.33"
    assert first["extent"] == "2"
    assert first["model_sha256"] == "0" * 64
    assert first["notes"] == "inverted"
    assert second["file"] == "'=HYPERLINK(1)"
    assert second["error"] == "'+x"
    assert second["involved_percent"] == second["percent_left_upper"] == ""


def test_numbers_of_a_film_reach_the_row(give, tmp_path):
    give(source(Film(grey(80), (100, 100), (10, 20), notes=("borders_cropped",))))
    (row,) = triage([], tmp_path / "out", Drawn())
    # The right lung's lower half: 50 %, of both lungs a quarter.
    assert (row.involved_percent, row.involved_percent_right) == (25, 50)
    assert (row.extent, row.extent_right, row.extent_left) == (2, 2, 0)
    assert row.zone_percents["right_lower"] == 100
    assert row.zone_percents["right_middle"] == 50
    assert (row.zones, row.zone_threshold) == (2, 5.0)
    assert (row.rows, row.columns, row.notes) == (100, 100, ("borders_cropped",))
    mask = cv2.imread(str(tmp_path / "out" / row.lung_mask), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (100, 100)
    assert not mask[:10].any()
    assert not mask[:, :20].any()
    assert mask[50, 40] == 255
    validate(json.loads((tmp_path / "out" / "report.json").read_text()))


def test_volume_is_summed_over_its_slices(give, tmp_path):
    class Third(Drawn):
        """Infection in the third slice only."""

        count = 0

        def predict(self, image):
            self.count += 1
            found = super().predict(image)
            if self.count != 3:
                found.infection_levels[:] = 0
            return found

    give(source(Volume(np.stack([grey()] * 4), (2.0, 2.0, 2.0)), "lung.nii.gz"))
    (row,) = triage([], tmp_path / "out", Third("ct"))
    assert (row.kind, row.slices, row.shown_slice) == ("volume", 4, 3)
    assert row.involved_percent == 25 / 4
    # 60 x 30 pixels a lung, two lungs, four slices, 8 mm3 a voxel.
    assert row.lung_ml == pytest.approx(2 * 1800 * 4 * 8 / 1000)
    assert row.infection_ml == pytest.approx(900 * 8 / 1000)
    assert row.extent is None
    folder = tmp_path / "out" / row.lung_mask
    assert folder.name == "lung"
    sums = [
        np.count_nonzero(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        for path in sorted(folder.glob("infection_*.png"))
    ]
    assert sums == [0, 0, 900, 0]
    validate(json.loads((tmp_path / "out" / "report.json").read_text()))
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Lung 115 ml, infection 7 ml" in report


@pytest.mark.parametrize(
    ("image", "modality", "flag", "text"),
    [
        (Film(grey(), (100, 100), modality="DX"), "ct", "wrong", "--model xray"),
        (Film(grey(), (100, 100), modality="CT"), "xray", "wrong", "--model ct_small"),
        (Film(grey(), (100, 100), modality="MR"), "xray", "wrong", "Neither"),
        (Film(grey(), (100, 100), modality="MR"), "ct", "wrong", "--model xray"),
        (Film(grey(), (100, 100), view="LL"), "xray", "lateral", "frontal"),
        (Volume(grey()[None]), "xray", "wrong", "--model ct_small"),
    ],
)
def test_unfit_images_are_shown_not_scored(give, tmp_path, image, modality, flag, text):
    give(source(image))
    (row,) = triage([], tmp_path / "out", Drawn(modality))
    assert row.flags[0].startswith(flag)
    assert row.involved_percent is None
    assert row.lung_mask == ""
    page = (tmp_path / "out" / "report.html").read_text()
    assert text in page
    assert "Not scored" in page
    assert not list((tmp_path / "out" / "masks").glob("*.png"))
    validate(json.loads((tmp_path / "out" / "report.json").read_text()))


def test_guard_flags_are_told_in_words(give, tmp_path):
    give(source(Film(grey(), (100, 100))))
    (row,) = triage([], tmp_path / "out", Drawn(flags=("not_a_chest_xray",)))
    assert row.involved_percent is None
    page = (tmp_path / "out" / "report.html").read_text()
    assert FLAG_TEXTS["not_a_chest_xray"] in page
    assert 'class="sides"' not in page  # which side is right is in doubt
    assert 'class="paint"' not in page  # what is not scored is shown plain
    folder = tmp_path / "out/overlays"
    overlay = cv2.imread(str(folder / "a.jpg"), cv2.IMREAD_COLOR)
    assert np.ptp(overlay, axis=2).max() == 0, "no colour"
    paint = cv2.imread(str(folder / "layers/a.png"), cv2.IMREAD_UNCHANGED)
    assert not paint.any()


def test_whatever_a_file_does_is_a_row(give, tmp_path):
    def explode():
        raise RuntimeError("inside")

    give(Source("x.png", "1", explode), source(Film(grey(), (100, 100))))
    bad, good = triage([], tmp_path / "out", Drawn())
    assert good.error == ""
    assert bad.error == "RuntimeError: inside"


class Page(html.parser.HTMLParser):
    """Collects what a structural test asks of the report."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def page(give, tmp_path):
    hostile = '"><img src=x onerror=alert(1)>\x1b[31m.png'
    give(
        source(Film(grey(), (100, 100)), hostile),
        source(Film(grey(), (100, 100), view="LL", notes=("inverted",)), "b/side.png"),
        Source("<b>bad</b>", "1", lambda: 1 / 0),
    )
    triage([], tmp_path / "out", Drawn())
    return (tmp_path / "out" / "report.html").read_text("utf-8")


def test_report_has_no_script_and_fetches_nothing(page):
    tags = Page(page)
    assert {"script", "link", "iframe", "object", "form"}.isdisjoint(
        name for name, _ in tags.tags
    )
    for _, attributes in tags.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:image/").startswith("data:image/")
        assert attributes.get("href", "#").startswith("#")
    (policy,) = [a["content"] for a in tags.all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'")
    assert "url(" not in page
    assert "@import" not in page


def test_report_escapes_what_comes_from_files(page):
    assert "<img src=x" not in page
    assert "<b>bad" not in page
    assert "\x1b" not in page
    assert "\N{REPLACEMENT CHARACTER}[31m.png" in page


def test_report_can_be_read_without_eyes_and_by_keyboard(page):
    tags = Page(page)
    assert tags.all("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in tags.all("img"))
    assert all(cell["scope"] in ("row", "col") for cell in tags.all("th"))
    assert all(image["width"] == image["height"] == "100" for image in tags.all("img"))
    labels = {label["for"] for label in tags.all("label")}
    inputs = {field["id"] for field in tags.all("input")}
    assert labels == inputs
    assert len(inputs) == 4  # of the one image with an overlay
    ids = [a["id"] for _, a in tags.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for a in tags.all("a")}
    assert targets <= set(ids)
    assert {"flagged", "unread", "scored", "all"} <= targets
    assert {f"line-{number}" for number in (1, 2, 3)} <= targets, "a way back"
    assert len(tags.all("article")) == 3


def test_report_says_what_was_done_and_that_it_is_for_research(page):
    assert "Research use only" in page
    assert "Greys were inverted" in page
    assert "It comes without a card." in page
    assert "Zones <b>2</b> of 6" in page
    assert "Extent <b>2</b> of 8" in page


def test_report_shows_the_most_urgent_and_links_to_the_rest(give, tmp_path):
    names = [f"f {number}.png" for number in range(5)]
    lateral = Film(grey(), (100, 100), view="LL")
    films = [source(Film(grey(), (100, 100)), name) for name in names]
    give(*films, *(source(lateral, f"side {number}.png") for number in range(3)))
    triage([], tmp_path / "out", Drawn(), report_images=2)
    text = (tmp_path / "out" / "report.html").read_text()
    tags = Page(text)
    cards = [a["id"] for a in tags.all("article")]
    assert cards == [f"image-{n}" for n in range(1, 6)], "the unscored, and two"
    assert "The 2 most involved of 5 images" in text
    links = [a["href"] for a in tags.all("a") if not a["href"].startswith("#")]
    assert links == [f"overlays/f%20{number}.jpg" for number in (2, 3, 4)]
    assert all((tmp_path / "out" / x.replace("%20", " ")).is_file() for x in links)


def test_model_card_is_plain_text_of_the_report(tmp_path):
    (tmp_path / "MODEL_CARD.md").write_text("# Card <script>alert(1)</script>\n")
    bundle = dataclasses.replace(Drawn().bundle, folder=tmp_path)
    write_report(tmp_path, [], FACTS, bundle)
    text = (tmp_path / "report.html").read_text()
    assert "# Card &lt;script&gt;" in text
    assert "<script" not in text


def test_zones_of_the_network_have_the_names_of_the_schema():
    row = json.loads(schema_text())["$defs"]["row"]
    names = row["properties"]["zone_percents"]["required"]
    assert set(FULL.zone_percents) == set(names)
    assert Zones(FULL.zone_percents).count == FULL.zones
