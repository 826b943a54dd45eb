"""From a map to a readers' extent, and the fit of it."""

import dataclasses
import json

import numpy as np
import pytest

from covseg_tf.edge import Bundle, Prediction, ReadersScale, load_bundle
from covseg_tf.edge.bundle import manifest_digest
from covseg_tf.evaluation import fit_readers_scale

LINE = ReadersScale(1.0, 0.0, (0.1, 0.5, 0.9), (0.0, 1.0, 4.0))


def lungs_and_map(right, left):
    lung = np.zeros((40, 60), np.uint8)
    lung[5:35, 5:25] = lung[5:35, 35:55] = 255
    infection = np.zeros_like(lung)
    infection[5:35, 5:25], infection[5:35, 35:55] = right, left
    return Prediction((40, 60), lung, infection, readers=LINE)


def test_the_line_goes_through_its_knots_and_is_flat_beyond():
    # Levels are probabilities times 256; scale 1 and offset 0 leave them as they are.
    lung = np.ones((4, 4), bool)
    shares = {0.0: 0.0, 0.25: 0.4, 0.5: 1.0, 0.75: 2.9, 0.97: 4.0}
    for share, extent in shares.items():
        levels = np.full((4, 4), int(256 * share), np.uint8)
        assert LINE.extent(levels, lung) == extent


def test_a_share_is_the_mean_of_the_style_over_the_lung_alone():
    readers = dataclasses.replace(LINE, scale=0.5, offset=-1.0)
    levels = np.array([[64, 192], [255, 255]], np.uint8)
    lung = np.array([[True, True], [False, False]])
    # logit(1/4) = -log 3, logit(3/4) = log 3
    expected = np.mean([1 / (1 + np.exp(-(0.5 * z - 1))) for z in np.log([1 / 3, 3])])
    assert readers.share(levels, lung) == pytest.approx(expected, abs=1e-12)


def test_each_lung_has_its_extent_and_the_film_their_sum():
    found = lungs_and_map(right=128, left=192)  # shares 0.5 and 0.75
    assert (found.extent_right, found.extent_left, found.extent) == (1.0, 2.9, 3.9)
    # The outline, cut at one half, says another thing: none and all of it.
    assert found.involvement.right == 0
    assert found.involvement.left == 100
    plain = dataclasses.replace(found, readers=None)
    assert (plain.extent_right, plain.extent_left, plain.extent) == (0, 4, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0.0},
        {"offset": float("nan")},
        {"shares": (0.5, 0.5, 0.9)},
        {"shares": (-0.1, 0.5, 0.9)},
        {"extents": (1.0, 0.5, 4.0)},
        {"extents": (0.0, 1.0, 8.0)},
        {"extents": (0.0, 1.0)},
        {"shares": (0.1,), "extents": (0.0,)},
    ],
)
def test_a_scale_that_makes_no_sense_is_refused(change):
    with pytest.raises(ValueError, match="2 to 64 knots"):
        dataclasses.replace(LINE, **change)


def test_the_fit_finds_a_monotone_line_again():
    rng = np.random.default_rng(0)
    shares = rng.uniform(0, 1, 2000)
    extents = np.clip(5 * shares - 0.5 + rng.normal(0, 0.3, 2000), 0, 4)
    fitted = fit_readers_scale(shares, extents, 0.4, -0.1, knots=10)
    assert (fitted.scale, fitted.offset, len(fitted.shares)) == (0.4, -0.1, 10)
    assert list(fitted.extents) == sorted(fitted.extents)
    found = np.interp([0.2, 0.5, 0.7], fitted.shares, fitted.extents)
    np.testing.assert_allclose(found, [0.5, 2.0, 3.0], atol=0.15)


def test_the_fit_says_how_many_lungs_it_needs():
    with pytest.raises(ValueError, match="the number of lungs, 3"):
        fit_readers_scale([0.1, 0.2, 0.3], [0, 1, 2])


def test_a_bundle_carries_it_and_a_wrong_one_is_refused(tmp_path):
    source = load_bundle("xray_nano").folder
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((tmp_path / "bundle.json").read_text())

    def bundle_with(readers) -> Bundle:
        manifest["readers"] = readers
        manifest["sha256"] = manifest_digest(manifest)
        (tmp_path / "bundle.json").write_text(json.dumps(manifest))
        return load_bundle(tmp_path)

    assert bundle_with(LINE.to_dict()).readers == LINE
    assert bundle_with(None).readers is None
    for wrong in ({"scale": 1}, {**LINE.to_dict(), "scale": -1}, [1], "x"):
        with pytest.raises(ValueError, match=r"bundle\.json.*again"):
            bundle_with(wrong)
