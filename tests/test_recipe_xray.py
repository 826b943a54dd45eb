"""The X-ray recipe on phantoms filed as its sources: outlines, extents, findings."""

import csv
import math

import cv2
import pytest

pytest.importorskip("tensorflow")

from recipe_runs import read_csv, run  # noqa: E402

from covseg_tf.data import read_samples, write_phantom_data  # noqa: E402
from covseg_tf.edge import Segmenter, draw_phantom  # noqa: E402

FINDINGS = {
    "ralo": ["COVID-19"] * 4,
    "nih_rsna": ["NIH text label: No_findings", "NIH text label: Pneumonia"] * 2,
    "tb": ["normal", "tuberculosis"] * 2,
    "kermany_lungs": ["normal", "bacterial pneumonia"] * 2,
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    write_phantom_data(root / "covid_qu_ex", 6, 96)
    for source, findings in FINDINGS.items():
        (root / source / "images").mkdir(parents=True)
        with (root / source / "manifest.csv").open("w", newline="") as stream:
            sides = [f"geo_{side}_{n}" for side in ("right", "left") for n in (1, 2)]
            writer = csv.writer(stream)
            writer.writerow(["name", "finding", "split", *sides])
            for number, finding in enumerate([*findings, "held back"]):
                split = "test" if finding == "held back" else "train"
                scores = [1, 2, 3, ""] if source == "ralo" else [""] * 4
                writer.writerow([f"film{number}", finding, split, *scores])
                film = draw_phantom(len(source) + number, 0.3, 96).image
                cv2.imwrite(str(root / source / "images" / f"film{number}.png"), film)
    return root


def test_extents_are_the_mean_of_the_readers_that_scored(sources):
    films = read_samples(sources / "ralo", "train")
    assert {film.extents for film in films} == {(1.5, 3.0)}
    assert {film.lung_mask for film in films} == {None}
    assert {film.extents for film in read_samples(sources / "tb")} == {None}


def test_every_source_is_learnt_from_and_a_finished_run_stays(sources, tmp_path):
    words = ["--data", sources, "--out", tmp_path, "--quick", "--batch-size", 8]
    result = run("xray.py", *words)
    assert result.returncode == 0, result.stderr[-2000:]
    for stage in ("stage_1", "stage_2"):
        (row,) = read_csv(tmp_path / stage / "log.csv")
        for loss in ("lung_loss", "infection_loss", "infection_readers_loss"):
            assert math.isfinite(float(row[f"val_{loss}"]))
        assert (tmp_path / stage / "end.weights.h5").is_file()
    segmenter = Segmenter(tmp_path / "xray")
    assert segmenter.bundle.metrics["parity"]["lung"]["images"] > 0
    assert segmenter.bundle.license == "CC-BY-NC-SA-4.0"
    card = (tmp_path / "xray" / "MODEL_CARD.md").read_text()
    assert "ralo" in card
    assert "By finding" in card
    again = run("xray.py", *words)
    assert (again.returncode, "already there" in again.stderr) == (2, True)
    drawn = {path.name for path in (tmp_path / "lungs").iterdir()}
    assert len(drawn) == sum(map(len, FINDINGS.values()))  # none of split test
    assert not any("film4" in name for name in drawn)
