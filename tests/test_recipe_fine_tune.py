"""Fine-tuning the shipped network on a folder of one's own films, for real, small."""

import csv

import cv2
import pytest

pytest.importorskip("tensorflow")

from recipe_runs import read_csv, run  # noqa: E402

from covseg_tf.edge import Segmenter, draw_phantom, load_bundle  # noqa: E402


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """20 films of 20 patients: a third normal, half with masks, all with extents."""
    root = tmp_path_factory.mktemp("films")
    for folder in ("images", "lung_masks", "infection_masks"):
        (root / folder).mkdir()
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "finding", "patient", "geo_right_1", "geo_left_1"])
        for number in range(20):
            severity = (0.0, 0.2, 0.45)[number % 3]
            film = draw_phantom(number, severity, 128)
            score = ("0", "1", "3")[number % 3]
            finding = "normal" if severity == 0 else "COVID-19"
            writer.writerow([f"film{number}", finding, f"p{number}", score, score])
            for folder, pixels in (
                ("images", film.image),
                ("lung_masks", film.lung_mask.astype("uint8") * 255),
                ("infection_masks", film.infection_mask.astype("uint8") * 255),
            ):
                cv2.imwrite(str(root / folder / f"film{number}.png"), pixels)
    return root


def test_a_folder_of_films_ends_in_a_bundle_beside_the_shipped_scores(films, tmp_path):
    words = ["--data", films, "--out", tmp_path, "--quick", "--batch-size", 4]
    result = run("fine_tune.py", *words)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "as shipped: lung Dice" in result.stdout
    assert "fine-tuned: lung Dice" in result.stdout
    (row,) = read_csv(tmp_path / "log.csv")
    assert float(row["infection_readers_loss"]) >= 0
    tuned = Segmenter(tmp_path / "xray")
    assert tuned.bundle.model != load_bundle("xray").model
    # Its own line to the readers' scores, along the style that it came with.
    assert tuned.bundle.readers != load_bundle("xray").readers
    assert 0 <= tuned.bundle.readers.extents[0] < tuned.bundle.readers.extents[-1] <= 4
    prediction = tuned.predict(draw_phantom(1, 0.45).image)
    assert prediction.lung_mask.any()
    card = (tmp_path / "xray" / "MODEL_CARD.md").read_text()
    assert "4 films of patients held out" in card
    again = run("fine_tune.py", *words)
    assert (again.returncode, "already there" in again.stderr) == (2, True)
