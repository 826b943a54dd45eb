"""The report behind a model card: by hand, on phantoms, on a few real films."""

import numpy as np
import pytest

from covseg_tf.data import read_samples
from covseg_tf.deploy.bundle import render_model_card, render_sections
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import (
    calibration_summary,
    describe_errors,
    evaluate,
    lung_regions,
    operating_points,
    score_set,
    summarize_failures,
    summarize_rows,
    summarize_set,
)


def two_lungs():
    """Columns 1 to 3 and 6 to 8 of 10, rows 1 to 6 of 8."""
    lung = np.zeros((8, 10), np.uint8)
    lung[1:7, 1:4] = lung[1:7, 6:9] = 1
    return lung


def test_regions_by_hand():
    """The gap is columns 4 and 5; the cut is the nearer to the middle, 5."""
    regions = lung_regions(two_lungs())
    assert regions[:, 0].tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert regions[0].tolist() == [0] * 5 + [3 * (c > 5) for c in range(5, 10)]
    whole = lung_regions(np.zeros((3, 6)))
    assert np.unique(whole).tolist() == [0, 1, 2, 3, 4, 5]


def test_errors_by_hand():
    """Infection: 4 pixels of the upper right; painted: 2 of them, 1 lower left."""
    lung = two_lungs()
    infection, painted = np.zeros_like(lung), np.zeros_like(lung)
    infection[1:3, 1:3] = painted[1, 1:3] = painted[6, 8] = 1
    row = describe_errors(lung, infection, painted)
    assert row["mask_percent"] == pytest.approx(100 * 4 / 36)
    assert row["painted_percent"] == pytest.approx(100 * 3 / 36)
    assert row["missed_share"] == 2 / 4
    assert row["false_share"] == pytest.approx(1 / 3)
    assert (row["mask_side"], row["mask_zone"]) == ("right", "upper")
    assert (row["painted_side"], row["painted_zone"]) == ("both", "upper")
    assert row["right_upper_mask"] == 4
    assert row["right_upper_both"] == row["right_upper_painted"] == 2
    assert row["left_lower_painted"] == 1
    empty = describe_errors(0 * lung, 0 * lung, 0 * lung)
    assert (empty["mask_percent"], empty["mask_side"], empty["mask_zone"]) == (
        0,
        "",
        "",
    )
    assert np.isnan(empty["missed_share"])
    with pytest.raises(ValueError, match=r"one shape. Received: \(8, 10\), \(1, 1\)"):
        describe_errors(lung, np.ones((1, 1)), lung)


def row_of(name, finding, infection, painted):
    """A row as `score_set` writes it, of masks on `two_lungs`."""
    lung = two_lungs()
    mask, guess = np.zeros_like(lung), np.zeros_like(lung)
    mask[infection], guess[painted] = 1, 1
    both, sizes = (mask & guess).sum(), mask.sum() + guess.sum()
    return {
        "name": name,
        "finding": finding,
        "infection_dice": 2 * both / sizes if sizes else 1.0,
        "infection_mask_pixels": mask.sum(),
        "infection_predicted_pixels": guess.sum(),
    } | describe_errors(lung, mask, guess)


NONE = np.s_[:0, :0]


def test_failures_by_hand():
    rows = [
        row_of("found", "COVID-19", np.s_[1:3, 1:4], np.s_[1:3, 1:4]),
        row_of("half", "COVID-19", np.s_[5:7, 6:8], np.s_[5:6, 6:8]),
        row_of("left out", "COVID-19", np.s_[6, 8], NONE),
        row_of("other lung", "COVID-19", np.s_[1, 1:3], np.s_[1, 6:9]),
        row_of("clean", "Normal", NONE, NONE),
        row_of("alarm", "Normal", NONE, np.s_[6, 1:4]),
    ]
    found = summarize_failures(rows)
    assert [of["dice"] for of in found["by_extent"]] == pytest.approx([0, 0, 2 / 3, 1])
    assert found["by_extent"][0]["nothing_painted"] == 1
    assert (
        found["by_side"]["right"]["images"] == found["by_side"]["left"]["images"] == 2
    )
    assert found["by_side"]["both"] == {
        "images": 0,
        "dice": None,
        "below_half": 0,
        "nothing_painted": 0,
    }
    # Lower zone: 4 and 1 pixels, of which 2 and 0 are found.
    assert found["by_zone"]["lower"]["missed_share"] == pytest.approx(3 / 5)
    assert found["by_zone"]["lower"]["dice"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["by_zone"]["middle"]["images"] == 0
    assert found["wrong_lung"] == 1
    alarm = found["alarms"]["Normal"]
    assert (alarm["images"], alarm["painted"]) == (2, 1)
    assert alarm["median_percent"] == pytest.approx(100 * 3 / 36)
    assert alarm["zones"] == {"upper": 0, "middle": 0, "lower": 1}
    worst = {kind: [case["name"] for case in of] for kind, of in found["worst"].items()}
    assert worst == {
        "missed": ["left out", "half", "found"],
        "overpainted": ["other lung"],
        "false alarm, Normal": ["alarm"],
    }
    assert found["worst"]["missed"][0]["words"] == (
        "Dice 0.00: mask 2.8 % of the lung (left lung, mostly the lower zone), 100 % "
        "of it missed; nothing painted"
    )
    assert found["worst"]["overpainted"][0]["words"].endswith(
        "8.3 % of the lung painted (left lung, mostly the upper zone), 100 % of it "
        "outside the mask"
    )
    text = "\n".join(found["patterns"])
    assert "nothing is painted on 1 of 4 films with infection" in text
    assert "on 1 of 4 films with infection in one lung, the other one alone" in text
    assert "False alarms, Normal: 1 of 2 films are painted, over 8.3 %" in text


def brightness(pixels):
    """Stands in for a network: bright is lung, brighter is infection."""
    return {"lung": pixels / np.float32(256), "infection": (pixels / 256.0) ** 2}


@pytest.fixture(scope="module")
def scored(phantom_data):
    spec = PreprocessingSpec(64, 64)
    samples = {s: read_samples(phantom_data, s) for s in ("Train", "Val")}
    return {s: score_set(brightness, of, spec, 0.4, s) for s, of in samples.items()}


def test_one_pass_is_what_evaluate_gives(scored, phantom_data):
    spec, samples = PreprocessingSpec(64, 64), read_samples(phantom_data, "Val")
    expected = evaluate(brightness, samples, spec, 0.4)
    for row, of in zip(scored["Val"].rows, expected, strict=True):
        assert {key: row[key] for key in of} == of
    summary = summarize_set(scored["Val"])
    scores = summarize_rows(expected)
    assert summary["scores"]["left_empty"] == scores["left_empty"]
    for protocol, score in scores["infection"].items():
        found = summary["scores"]["infection"][protocol]
        assert {key: found[key] for key in score} == score
        assert found["dice_low"] <= score["dice"] <= found["dice_high"]
    by_finding = {row["finding"]: row for row in summary["findings"]}
    assert sum(row["images"] for row in by_finding.values()) == len(expected)
    assert by_finding["COVID-19"]["lesions_dice"] == pytest.approx(
        scores["infection"]["lesions"]["dice"]
    )
    assert by_finding["Normal"]["left_empty"] == scores["left_empty"]["Normal"]
    assert by_finding["Normal"]["lesions_dice"] is None


def test_calibration_counts_the_pixels_it_says(scored):
    found = calibration_summary(scored["Val"])
    rows = scored["Val"].rows
    lung, mask = (
        sum(row[f"{flow}_mask_pixels"] for row in rows)
        for flow in ("lung", "infection")
    )
    assert found["infection_in_lung"]["pixels"] == lung
    assert (
        found["infection"]["pixels"] == found["lung"]["pixels"] == 64 * 64 * len(rows)
    )
    assert found["infection"]["prevalence"] == pytest.approx(mask / 64**2 / len(rows))
    assert found["film"]["pixels"] == len(rows)
    for of in found.values():
        assert sum(point["share"] for point in of["curve"]) == pytest.approx(1)
        assert 0 <= of["ece"] <= of["mce"] <= 1


def test_points_are_chosen_on_one_set_and_told_on_the_others(scored):
    found = operating_points(scored["Train"], [scored["Val"]], areas=(40,))
    assert found["chosen_on"] == "Train"
    in_use, *points = found["points"]
    rows = summarize_rows(scored["Val"].rows)
    assert in_use["threshold"] == int(0.4 * 256) / 256
    assert in_use["sets"]["Val"]["all_images"] == pytest.approx(
        rows["infection"]["all_images"]["dice"], abs=0.02
    )
    assert [p["rule"] for p in points[::3]] == [
        "threshold",
        "threshold and area",
        "threshold, area and seed",
    ]
    for point in points:  # a richer rule is as good at least, where it was chosen
        if point["criterion"] in ("all_images", "lesions"):
            chosen = point["sets"]["Train"][point["criterion"]]
            assert chosen >= in_use["sets"]["Train"][point["criterion"]]


def test_no_image_is_refused():
    with pytest.raises(ValueError, match="mine: there is no image to score"):
        score_set(brightness, [], PreprocessingSpec(64, 64), title="mine")


def card(**words):
    score = {"images": 2, "dice": 0.5, "dice_std": 0.1, "iou": 0.4, "mae": 0.05}
    of = {"lung": {"all_images": score}, "infection": {"lesions": score}}
    parity = {"dice_change": 0.001, "max_difference": 0.02, "mean_difference": 0.003}
    metrics = {
        "float": of,
        "int8": of | {"left_empty": {"Normal": 0.75}},
        "parity": {"lung": parity},
    }
    return render_model_card(
        "net", "What.", "Data.", "How.", metrics, "- none", **words
    )


def test_the_card_without_a_report_is_as_it_was():
    text = card()
    assert card(report=None) == card(report={}) == text
    assert text.endswith("probability 0.020, mean 0.00300\n\n## Limits\n\n- none")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Model card: net",
        "## Data",
        "## Measured",
        "## Limits",
    ]


HEADINGS = [
    "## By finding",
    "## External test: General Blockchain",
    "## Are the probabilities what they say?",
    "## Threshold, chosen on validation images",
    "## Where it fails",
]


def headings(text):
    return [line for line in text.splitlines() if line.startswith("## ")]


def test_every_part_of_the_card_may_be_left_out(scored):
    report = {
        "sets": [summarize_set(scored["Val"])],
        "calibration": calibration_summary(scored["Val"]),
        "operating_points": operating_points(scored["Train"], [scored["Val"]]),
        "failures": summarize_failures(scored["Val"].rows, 1),
    }
    report["sets"].append(report["sets"][0] | {"title": "General Blockchain"})
    text = card(report=report)
    assert headings(text) == ["## Data", "## Measured", *HEADINGS, "## Limits"]
    assert "\n\n\n" not in text
    assert "None" not in text
    assert "nan" not in text.lower()
    for key in report:
        rest = {k: v for k, v in report.items() if k != key}
        assert len(headings(render_sections(rest))) == 4 - (key == "sets")
