"""Calibration and the operating point: by hand, by brute force and by scipy."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from covseg_tf.data import load_sample, read_samples
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import (
    LevelCounts,
    area_under_roc,
    brier_score,
    choose_operating_point,
    expected_calibration_error,
    fit_outline,
    fit_temperature,
    image_scores,
    maximum_calibration_error,
    operating_grid,
    reliability_curve,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def by_hand():
    """Six pixels of 1/4, none of them foreground; two of 1/2, both foreground."""
    return LevelCounts.of([0] * 6 + [1] * 2, [0.25] * 6 + [0.5] * 2)


def films(rng, shape=(8, 8)):
    """Maps of levels 0 to 255 with masks that follow them, and two empty masks."""
    maps = [rng.integers(0, 256, shape) / 256 for _ in range(6)]
    masks = [rng.random(shape) < m for m in maps[:4]] + [np.zeros(shape)] * 2
    return masks, maps


def test_a_level_is_the_first_whole_number_from_256_p_upwards():
    counts = LevelCounts.of([1, 0, 1, 1], [0, 1 / 256, 1.5 / 256, 1])
    assert np.flatnonzero(counts.totals).tolist() == [0, 1, 2, 256]
    assert np.flatnonzero(counts.positives).tolist() == [0, 2, 256]
    assert counts.sums[[1, 2, 256]] == pytest.approx([1 / 256, 1.5 / 256, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_above_is_exact_at_every_threshold(rng, dtype):
    probability = rng.random((9, 7)).astype(dtype) ** 3
    probability[0, :3] = 0, 1, 77 / 256
    mask = rng.random((9, 7)) < 0.4
    painted, hits = LevelCounts.of(mask, probability).above()
    for t in range(256):
        above = probability > t / 256
        assert painted[t] == above.sum()
        assert hits[t] == (above & mask).sum()


def test_counts_add_up_and_keep_inside(rng):
    mask, probability = rng.random((2, 4, 4)) < 0.5, rng.random((2, 4, 4))
    whole = LevelCounts.of(mask, probability)
    total = sum(map(LevelCounts.of, mask, probability), LevelCounts.none())
    inside = LevelCounts.of(mask, probability, mask)
    np.testing.assert_array_equal(total.totals, whole.totals)
    np.testing.assert_allclose(total.sums, whole.sums)
    np.testing.assert_array_equal(inside.totals, whole.positives)


def test_errors_of_eight_pixels_by_hand(by_hand):
    """Gaps: 1/4 in the bin of 1/4, 1/2 in that of 1/2."""
    assert expected_calibration_error(by_hand) == pytest.approx((6 / 4 + 2 / 2) / 8)
    assert maximum_calibration_error(by_hand) == pytest.approx(1 / 2)
    assert brier_score(by_hand) == pytest.approx((6 / 16 + 2 / 4) / 8)
    # One bin: 2.5 / 8 stated, 2 / 8 observed.
    assert expected_calibration_error(by_hand, bins=1) == pytest.approx(0.5 / 8)


def test_bins_of_equal_size_by_hand(by_hand):
    """Four pixels of 1/4; then two of 1/4 and two of 1/2: 3/8 stated, 1/2 observed."""
    curve = reliability_curve(by_hand, bins=2, equal_size=True)
    assert curve.pixels.tolist() == [4, 4]
    assert curve.stated.tolist() == [1 / 4, 3 / 8]
    assert curve.observed.tolist() == [0, 1 / 2]
    error = expected_calibration_error(by_hand, bins=2, equal_size=True)
    assert error == pytest.approx((1 / 4 + 1 / 8) / 2)


def test_an_empty_bin_is_nan_and_counts_nothing(by_hand):
    curve = reliability_curve(by_hand, bins=4)
    assert np.isnan(curve.stated).tolist() == [True, False, False, True]
    assert curve.pixels.tolist() == [0, 6, 2, 0]


def test_errors_agree_with_a_plain_loop(rng):
    probability = rng.integers(0, 256, 3000) / 256
    truth = rng.random(3000) < probability**2
    counts = LevelCounts.of(truth, probability)
    gaps, sizes = [], []
    for low in np.arange(15) / 15:
        found = (probability >= low) & (probability < low + 1 / 15)
        gaps.append(abs(probability[found].mean() - truth[found].mean()))
        sizes.append(found.sum())
    expected = np.average(gaps, weights=sizes)
    assert expected_calibration_error(counts) == pytest.approx(expected)
    assert maximum_calibration_error(counts) == pytest.approx(max(gaps))
    assert brier_score(counts) == pytest.approx(np.mean((probability - truth) ** 2))
    order = np.argsort(probability, kind="stable").reshape(15, -1)
    gaps = np.abs((probability - truth)[order].mean(axis=1))
    # Pixels of a level that a bin cuts are alike here, and in their order there.
    error = expected_calibration_error(counts, equal_size=True)
    assert error == pytest.approx(gaps.mean(), abs=2e-3)


def test_float_maps_have_the_brier_score_of_their_values(rng):
    probability = rng.random(5000)
    truth = rng.random(5000) < 0.3
    score = brier_score(LevelCounts.of(truth, probability))
    assert score == pytest.approx(np.mean((probability - truth) ** 2), abs=1e-4)


def test_what_happens_as_often_as_stated_has_no_error():
    probability = np.repeat(np.arange(256) / 256, 256)
    truth = np.concatenate([np.arange(256) < level for level in range(256)])
    counts = LevelCounts.of(truth, probability)
    for equal_size in (False, True):
        error = expected_calibration_error(counts, equal_size=equal_size)
        assert error == pytest.approx(0, abs=1e-12)


def test_area_under_roc_is_mann_whitney(rng):
    labels, scores = rng.random(300) < 0.3, rng.integers(0, 20, 300)
    scores = scores + 4 * labels
    expected = scipy.stats.mannwhitneyu(scores[labels], scores[~labels]).statistic
    expected /= labels.sum() * (~labels).sum()
    assert area_under_roc(labels, scores) == pytest.approx(expected)
    assert area_under_roc([0, 1], [3, 3]) == 0.5


@pytest.mark.parametrize("seed", [None, 0.75])
def test_the_grid_is_what_scoring_each_image_gives(rng, seed):
    masks, maps = films(rng)
    findings = ["COVID-19"] * 4 + ["Normal", "Non-COVID"]
    areas = (0, 5, 20)
    counts = list(map(LevelCounts.of, masks, maps))
    grid = operating_grid(counts, findings, areas, seed)
    for threshold in (0, 0.3, 0.5, 0.9, 255 / 256):
        for area in areas:
            rows = []
            for mask, probability in zip(masks, maps, strict=True):
                core = probability > (threshold if seed is None else seed)
                reported = probability if core.sum() >= area else 0 * probability
                rows.append(image_scores(mask, reported, threshold))
            point, dice = grid.at(threshold, area), [row["dice"] for row in rows]
            assert point.all_images == pytest.approx(np.mean(dice))
            assert point.lesions == pytest.approx(np.mean(dice[:4]))
            assert point.left_empty == {
                "Normal": rows[4]["predicted_pixels"] == 0,
                "Non-COVID": rows[5]["predicted_pixels"] == 0,
            }


@pytest.fixture
def three_films():
    """Two pixels of infection at 3/4 and 1/4; a false pixel at 1/2, and one at 7/8."""
    return [
        LevelCounts.of([1, 1, 0], [0.75, 0.25, 0]),
        LevelCounts.of([0, 0, 0], [0.5, 0, 0]),
        LevelCounts.of([0, 0, 0], [0.875, 0.875, 0]),
    ]


def test_points_by_hand(three_films):
    findings = ["COVID-19", "Normal", "Normal"]
    grid = operating_grid(three_films, findings, (0, 2))
    # At 1/4 one of two pixels: Dice 2/3. Below it both, and every film is painted.
    assert grid.at(0.25).lesions == pytest.approx(2 / 3)
    assert grid.at(0.25).all_images == pytest.approx(2 / 9)
    assert grid.at(0.2, 2) == (51 / 256, 2, 51 / 256, 1, 2 / 3, {"Normal": 0.5})
    assert grid.at(0.25, 2).lesions == 0  # its one pixel is not reported
    # From 7/8 on all three films are empty, which two of them should be.
    alone = operating_grid(three_films, findings)
    best = choose_operating_point([alone])
    assert (best.threshold, best.all_images) == pytest.approx((0.875, 2 / 3))
    # Of the first two: 2/3 from 1/4 to 3/4, and empty from 1/2 on, the nearest.
    best = choose_operating_point([operating_grid(three_films[:2], findings[:2])])
    assert (best.threshold, best.all_images) == pytest.approx((0.5, (2 / 3 + 1) / 2))
    assert choose_operating_point([alone], "lesions")[:2] == (63 / 256, 0)
    # Both Normal films are empty from 7/8 on; the film with infection as well.
    strict = choose_operating_point([alone], "lesions", {"Normal": 1})
    assert (strict.threshold, strict.lesions) == (0.875, 0)


def test_a_seed_asks_for_a_core_and_keeps_the_outline():
    films = [
        LevelCounts.of([1, 1, 1], [0.95, 0.6, 0.6]),
        LevelCounts.of([0, 0, 0], [0.8, 0.8, 0.8]),
    ]
    findings = ["COVID-19", "Normal"]
    grids = [operating_grid(films, findings, (0, 1, 2), s) for s in (0.875, None)]
    point = choose_operating_point(grids)
    assert point == (0.5, 1, 0.875, 1, 1, {"Normal": 1})
    assert choose_operating_point(grids[1:]).all_images < 1
    # As good without a seed: then without one.
    assert choose_operating_point(grids, "lesions").area == 0
    assert choose_operating_point(grids, "lesions").seed == 0.5


def test_without_lesions_there_is_no_dice_over_them():
    grid = operating_grid([LevelCounts.of([0], [0.2])], ["Normal"])
    assert np.isnan(grid.at(0.5).lesions)
    assert choose_operating_point([grid]).all_images == 1
    with pytest.raises(ValueError, match="No image has infection"):
        choose_operating_point([grid], "lesions")


COUNTS = [LevelCounts.of([1, 0], [0.5, 0.2])]
GRID = operating_grid(COUNTS, ["COVID-19"])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: LevelCounts.of([1], [1.5]), r"must lie in \[0, 1\].*1.5"),
        (lambda: LevelCounts.of([1], [np.nan]), r"must lie in \[0, 1\]"),
        (lambda: LevelCounts.of([1, 0], [1]), r"one shape. Received: \(2,\), \(1,\)"),
        (lambda: LevelCounts.of([1], [1], [1, 1]), r"and \(2,\)"),
        (lambda: reliability_curve(COUNTS[0], 0), "`bins` must be at least 1"),
        (lambda: reliability_curve(LevelCounts.none()), "No pixel was counted"),
        (lambda: brier_score(LevelCounts.none()), "No pixel was counted"),
        (lambda: area_under_roc([1, 1], [0, 1]), "labels of both kinds"),
        (lambda: operating_grid([], []), "Received: 0 images, 0 findings"),
        (lambda: operating_grid(COUNTS, []), "Received: 1 images, 0 findings"),
        (lambda: operating_grid(COUNTS, ["x"], (-1,)), "numbers of pixels"),
        (lambda: operating_grid(COUNTS, ["x"], (1,), 1.0), "`seed` must be in"),
        (lambda: GRID.at(1.0), r"threshold in \[0, 1\)"),
        (lambda: GRID.at(0.5, 7), "Received: 0.5, 7"),
        (lambda: choose_operating_point([]), "0 grids"),
        (lambda: choose_operating_point([GRID], "dice"), "protocol='dice'"),
        (
            lambda: choose_operating_point([GRID], "lesions", {"Normal": 0.9}),
            "has the finding 'Normal'. There are: none",
        ),
    ],
)
def test_refusals(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_a_share_that_no_point_leaves_empty_is_refused():
    grid = operating_grid([*COUNTS, LevelCounts.of([0], [1.0])], ["COVID-19", "Normal"])
    with pytest.raises(ValueError, match="leaves so many empty: {'Normal': 0.9}"):
        choose_operating_point([grid], left_empty={"Normal": 0.9})


def test_a_temperature_makes_probabilities_true_again():
    """Logits three times too large: the temperature of lowest cost is 3."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, 200_000)
    mask = rng.random(logits.size) < 1 / (1 + np.exp(-logits))
    stated = 1 / (1 + np.exp(-3 * logits))
    found = fit_temperature(LevelCounts.of(mask, stated))
    assert found == pytest.approx(3, rel=0.05)
    # What is cut at another place keeps that place: shifted logits are the same case.
    moved = 1 / (1 + np.exp(-(3 * logits + np.log(0.2 / 0.8))))
    assert fit_temperature(LevelCounts.of(mask, moved), 0.2) == pytest.approx(
        3, rel=0.05
    )
    with pytest.raises(ValueError, match="Need a pixel"):
        fit_temperature(LevelCounts.none())


def test_an_outline_is_cut_where_dice_is_highest(phantom_data):
    """A map that says 0.3 inside the mask and 0.1 outside is cut between the two."""
    spec = PreprocessingSpec(32, 32)
    samples = read_samples(phantom_data, "Train")
    masks = {
        load_sample(s, spec)[0].tobytes(): load_sample(s, spec)[2] for s in samples
    }

    def predict(pixels):
        return {"infection": 0.1 + 0.2 * masks[pixels.tobytes()].astype("float32")}

    outline = fit_outline(predict, samples, spec)
    assert 0.1 <= outline.threshold < 0.3
    # Moved and cooled as it says, the map is on the right side of one half.
    for stated, is_inside in ((0.1, False), (0.3, True)):
        logit = np.log(stated / (1 - stated)) - outline.logit
        assert (logit / outline.temperature > 0) == is_inside
    # A sure map is cooled until healthy lungs keep a level above 0 of 256.
    marked = [
        dataclasses.replace(s, infection_free=s.finding == "Normal") for s in samples
    ]

    def sure(pixels):
        infection = np.where(masks[pixels.tobytes()], 0.99, 1e-6)
        return {"lung": np.ones_like(infection), "infection": infection}

    cooled = fit_outline(sure, marked, spec)
    z = (np.log(1e-6 / (1 - 1e-6)) - cooled.logit) / cooled.temperature
    assert 256 / (1 + np.exp(-z)) == pytest.approx(1, rel=1e-3)
    assert fit_outline(sure, samples, spec).temperature < 1
    # Films of which only readers' extents are known say nothing of an outline.
    bare = [dataclasses.replace(s, infection_mask=None) for s in samples]
    assert fit_outline(predict, bare, spec) == (0.5, 1.0)
