"""The study's report, from scores made up by hand; the statistics behind it."""

import importlib
import pathlib
import shutil
import xml.etree.ElementTree as xml

import numpy as np
import pytest
import scipy.stats

from covseg_tf.data import read_samples
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import evaluate_with_curve, paired_bootstrap, write_rows

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture
def results():
    """The command as a module."""
    return importlib.import_module("benchmarks.ablation.__main__")


def write_run(folder, modality, row, seed, test_set, rows, curve):
    """Adds one run to a study; returns its line for runs.csv."""
    folder.mkdir(exist_ok=True)
    stem = f"{modality}_{row}_seed{seed}_{test_set}"
    write_rows(folder / f"{stem}.csv", rows, digits=6)
    write_rows(folder / f"{stem}_curve.csv", curve, digits=6)
    return {
        "modality": modality,
        "row": row,
        "seed": seed,
        "parameters": 1234567,
        "train_images": 90,
        "validation_images": 10,
        "epochs": "16+3",
        "seconds": 1800,
        "val_infection_dice": 0.7,
        "test_set": test_set,
        "rows_file": f"{stem}.csv",
        "curve_file": f"{stem}_curve.csv",
    }


def made_up(names, dices, lung=0.9, healthy=()):
    rows = [(name, dice, 50) for name, dice in zip(names, dices, strict=True)]
    rows += [(f"healthy_{i}", dice, 0) for i, dice in enumerate(healthy)]
    rows = [
        {
            "name": name,
            "finding": "COVID-19" if pixels else "Normal",
            **({} if lung is None else {"lung_dice": lung}),
            "infection_dice": float(dice),
            "infection_iou": dice / (2 - dice),
            "infection_mae": 0.25,
            "infection_mask_pixels": pixels,
        }
        for name, dice, pixels in rows
    ]
    curve = [
        {"threshold": t, "f_lesions": 0.5 + t % 2 / 8, "f_all_images": 0.25}
        for t in range(256)
    ]
    return rows, curve


FILMS = [f"film_{i}" for i in range(6)]
SLICES = [f"patient_{i // 2}_slice_{i:03d}" for i in range(6)]


@pytest.fixture
def study(tmp_path):
    """X-ray: + 0.1 on every film, two seeds; CT: one patient gains all."""
    folder, runs = tmp_path / "rows", []
    for seed, shift in ((0, 0.0), (1, 0.02)):
        for row, dice in (("baseline", 0.5), ("lung_region", 0.6)):
            lung = None if row == "baseline" else 0.9
            scores = made_up(FILMS, [dice + shift] * 6, lung, healthy=(1.0, 0.0))
            runs.append(
                write_run(folder, "xray", row, seed, "covid_qu_ex_val", *scores)
            )
    for row, gains in (("baseline", 0), ("region_fusion_attention", 0.3)):
        dices = np.array([0.4] * 6)
        dices[:2] += gains
        scores = made_up(SLICES, dices)
        runs.append(write_run(folder, "ct", row, 0, "covid_19_ct_seg_test", *scores))
    write_rows(folder / "runs.csv", runs)
    return folder


def build(results, study, out):
    assert results.main(["table", "--rows", str(study), "--out", str(out)]) == 0
    return (out / "ablation.md").read_text("utf-8")


def test_tables_by_hand(results, study, tmp_path):
    text = build(results, study, tmp_path / "out")
    # Dice 0.5 and 0.52, IoU 0.5 / 1.5 and 0.52 / 1.48; the standard deviation of
    # two seeds is their difference / sqrt(2).
    # Mean F: 0.5 and 0.625 in turn; maximum 0.625.
    assert (
        "| baseline | 2 | 0.3423 ± 0.0127 | 0.5100 ± 0.0141 | 0.2500 ± 0.0000 | "
        "0.5625 ± 0.0000 | 0.6250 ± 0.0000 | – |"
    ) in text
    # All images: one of two healthy films painted, (6 x 0.5 + 1) / 8 = 0.5.
    assert "All-images protocol, 8 images" in text
    assert "| baseline | 2 |" in text.split("All-images protocol, 8")[1]
    assert "| 0.5075 ± 0.0106 |" in text.split("All-images protocol, 8")[1]
    assert "0.9000 ± 0.0000 |" in text  # lung Dice of + lung region
    assert (
        "| + lung region less baseline | 2 | +0.1000 | +0.1000 to +0.1000 | 100 % | 6 |"
    ) in text
    assert "every image has infection" in text  # of the CT slices


def test_ct_is_also_drawn_by_patient(results, study, tmp_path):
    text = build(results, study, tmp_path / "out")
    line = next(x for x in text.splitlines() if x.startswith("| + region fusion att")
                and "less baseline" in x)  # fmt: skip
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[2] == "+0.1000"
    assert cells[4] == "+0.0000 to +0.3000"  # all or none of three patients gain
    assert cells[5:] == ["33 %", "6"]
    assert "the images are of 3 patients" in text


def test_variants_are_compared_with_region_fusion_attention(results, study, tmp_path):
    assert "What was tried" not in build(results, study, tmp_path / "without")
    scores = made_up(SLICES, np.array([0.75, 0.7, 0.4, 0.4, 0.4, 0.4]))
    line = write_run(study, "ct", "rfa_open", 0, "covid_19_ct_seg_test", *scores)
    with (study / "runs.csv").open("a") as stream:
        stream.write(",".join(map(str, line.values())) + "\n")
    text = build(results, study, tmp_path / "with")
    # 0.05 on one of six: 0.0083.
    tried = text.split("## What was tried")[1]
    assert "| 1 | 0.5083 | +0.0083 | +0.0000 to +0.0250 |" in tried
    assert "rfa_open" not in text


def test_poster_caution_protocol_and_what_is_missing(results, study, tmp_path):
    text = build(results, study, tmp_path / "out")
    assert "| the poster's own |" in text
    assert "0.5512 | 0.7262 | 0.0077" in text
    assert "cannot exceed 2 IoU / (1 + IoU)" in text
    for words in ("threshold 0.5", "2 CPU cores", "90 images to train", "10,000"):
        assert words in text
    assert "2.0 hours for all runs" in text  # four of half an hour, X-ray
    assert (
        "Missing runs:\n\n"
        "- Chest X-ray, COVID-QU-Ex, split Val: + region fusion attention, seed 0, 1\n"
    ) in text
    assert "| no attention (ours) | 0 | not run |" in text
    (study / "findings.md").write_text("## What was learnt\n\nNothing.\n")
    assert build(results, study, tmp_path / "out").endswith("Nothing.\n")


def test_a_lost_modality_is_said(results, study):
    groups = results.read_runs(study)
    only_ct = {key: value for key, value in groups.items() if key[0] == "ct"}
    assert results.missing_runs(only_ct)[0] == "Chest X-ray: no run at all"
    assert "## Chest X-ray" not in results.report(only_ct)


def test_the_same_scores_give_the_same_files(results, study, tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    assert build(results, study, first) == build(results, study, second)
    names = {path.name for path in first.iterdir()}
    assert names == {"ablation.md", "ablation_xray.svg", "ablation_ct.svg"}
    for name in ("ablation_xray.svg", "ablation_ct.svg"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
        assert xml.parse(first / name).getroot().tag.endswith("svg")
        assert name in (first / "ablation.md").read_text("utf-8")


def test_reads_what_evaluation_writes(results, phantom_data, tmp_path):
    spec, runs = PreprocessingSpec(64, 64), []
    samples = read_samples(phantom_data, "Val")
    for row, gain in (("baseline", 0.5), ("lung_region", 1.0)):
        scores = evaluate_with_curve(
            lambda pixels, gain=gain: {"infection": pixels / 255 * gain}, samples, spec
        )
        run = write_run(tmp_path / "rows", "xray", row, 0, "phantoms", *scores)
        runs.append(run)
    write_rows(tmp_path / "rows" / "runs.csv", runs)
    text = build(results, tmp_path / "rows", tmp_path / "out")
    assert "Lesions protocol, 4 images" in text
    assert "All-images protocol, 12 images" in text
    assert "nan" not in text


def test_bad_scores_are_refused_in_one_line(results, study, tmp_path, capsys):
    def refused(text):
        words = ["table", "--rows", str(study), "--out", str(tmp_path / "out")]
        assert results.main(words) == 2
        error = capsys.readouterr().err
        assert text in error
        assert error.count("\n") == 1
        assert not (tmp_path / "out").exists()

    runs = (study / "runs.csv").read_text()
    (study / "runs.csv").write_text(runs.replace(",lung_region,", ",lungs,"))
    refused("row must be one of baseline, lung_region")
    (study / "runs.csv").write_text(runs)
    path = study / "xray_lung_region_seed1_covid_qu_ex_val.csv"
    whole = path.read_text()
    path.write_text(whole.replace("film_3", "film_9"))
    refused("has other images, or another order, than xray_baseline_seed0")
    path.unlink()
    refused("No such file")
    shutil.rmtree(study)
    refused("runs.csv: No such file")


def test_interval_agrees_with_scipy():
    rng = np.random.default_rng(3)
    others = rng.beta(5, 2, 120)
    scores = others + rng.normal(0.03, 0.1, 120)
    found = paired_bootstrap(scores, others)
    expected = scipy.stats.bootstrap(
        (scores - others,), np.mean, n_resamples=10_000, method="percentile", rng=0
    ).confidence_interval
    width = expected.high - expected.low
    assert found.mean == pytest.approx((scores - others).mean())
    # A quantile of 10,000 draws is good to about 1 % of the interval.
    assert found.low == pytest.approx(expected.low, abs=0.03 * width)
    assert found.high == pytest.approx(expected.high, abs=0.03 * width)
    assert found == paired_bootstrap(scores, others)
    assert found != paired_bootstrap(scores, others, seed=1)


def test_clusters_by_hand():
    """Patient a: two images, + 1 each; b: one image, 0. Draws aa, ab, ba, bb."""
    scores, others, patients = [1.0, 1.0, 0.5], [0.0, 0.0, 0.5], ["a", "a", "b"]
    wide = paired_bootstrap(scores, others, patients)
    assert (wide.low, wide.high) == (0.0, 1.0)
    # Half of the draws are ab or ba: both inner quantiles are their 2 / 3.
    narrow = paired_bootstrap(scores, others, patients, confidence=0.4)
    assert (narrow.low, narrow.high) == pytest.approx((2 / 3, 2 / 3))
    assert (wide.mean, wide.better) == pytest.approx((2 / 3, 2 / 3))
    assert (wide.images, wide.clusters) == (3, 2)


def test_one_cluster_per_image_is_no_cluster():
    scores, others = [0.4, 0.8, 0.6, 0.9], [0.5, 0.5, 0.5, 0.5]
    assert paired_bootstrap(scores, others) == paired_bootstrap(
        scores, others, ["a", "b", "c", "d"]
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([], []), "one score of each network"),
        (([1.0], [1.0, 2.0]), "1 and 2 scores"),
        (([1.0, 2.0], [1.0, 2.0], ["a"]), "1 clusters"),
        (([1.0, np.nan], [1.0, 2.0]), "1 of 2 images have no score"),
        (([1.0], [1.0], None, 0), "`resamples` must be at least 1"),
        (([1.0], [1.0], None, 9, 1.0), r"`confidence` must be in \(0, 1\)"),
    ],
)
def test_bootstrap_refuses(arguments, text):
    with pytest.raises(ValueError, match=text):
        paired_bootstrap(*arguments)


def test_the_committed_report_is_what_its_scores_give(results, tmp_path):
    folder = ROOT / "docs" / "results"
    text = build(results, folder / "ablation", tmp_path)
    assert text == (folder / "ablation.md").read_text("utf-8")
    assert "Missing runs: none." in text
