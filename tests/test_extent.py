"""Readers' extents as a label: the loss, the style, the samples and the targets."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from covseg_tf.layers import AnnotatorStyle  # noqa: E402
from covseg_tf.losses import (  # noqa: E402
    ExtentLoss,
    extent_bounds,
    extent_loss,
    pack_extents,
)

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("score", "bounds"),
    [
        (0, (0.0, 0.0)),
        (1, (0.0, 0.25)),
        (2.5, (0.375, 0.625)),
        (4, (0.75, 1.0)),
        (None, (0.0, 1.0)),
    ],
)
def test_a_score_is_an_interval_of_shares(score, bounds):
    assert extent_bounds(score) == bounds


@pytest.mark.parametrize("score", [-1, 4.5, 8])
def test_a_total_of_both_lungs_is_no_score_of_one(score):
    with pytest.raises(ValueError, match=r"one lung lies in \[0, 4\]"):
        extent_bounds(score)


def two_lungs(right, left, bounds):
    """Right lung: columns 0 to 3; left lung: columns 6 and 7; between them nothing."""
    regions = np.zeros((1, 8, 8, 1), "float32")
    regions[:, :, :4], regions[:, :, 6:] = 1, 2
    maps = np.full((1, 8, 8, 1), 0.99, "float32")
    maps[:, :, :4], maps[:, :, 6:] = right, left
    return pack_extents(regions, np.array([bounds], "float32")), maps


def test_distance_to_the_interval_by_hand():
    bounds = (extent_bounds(2), extent_bounds(4))  # 0.25 to 0.5; 0.75 to 1
    y_true, y_pred = two_lungs(0.6, 0.55, bounds)
    # 0.1 too much on the right, 0.2 too little on the left; what is no lung is free.
    loss = keras.ops.convert_to_numpy(extent_loss(y_true, y_pred))
    np.testing.assert_allclose(loss, [(0.1 + 0.2) / 2], atol=1e-6)


def test_inside_its_interval_and_without_a_score_it_costs_nothing():
    y_true, y_pred = two_lungs(0.3, 0.9, (extent_bounds(2), extent_bounds(None)))
    assert float(ExtentLoss()(y_true, y_pred)) == 0.0


def test_distance_to_the_middle_by_hand():
    bounds = (extent_bounds(2), extent_bounds(None))  # the middle of 0.25 to 0.5
    y_true, y_pred = two_lungs(0.3, 0.9, bounds)
    loss = float(ExtentLoss(center=0.5)(y_true, y_pred))
    # Inside its interval, 0.075 from the middle; without a score there is no middle.
    assert loss == pytest.approx(0.5 * 0.075 / 2, abs=1e-6)
    y_true, y_pred = two_lungs(0.6, 0.9, bounds)
    loss = float(ExtentLoss(center=0.5)(y_true, y_pred))
    assert loss == pytest.approx((0.1 + 0.5 * 0.225) / 2, abs=1e-6)
    assert ExtentLoss.from_config(ExtentLoss(center=0.5).get_config()).center == 0.5
    with pytest.raises(ValueError, match="`center` must be"):
        ExtentLoss(center=-1)


def test_no_lung_costs_nothing():
    y_true, y_pred = two_lungs(0.9, 0.9, (extent_bounds(1), extent_bounds(1)))
    y_true = keras.ops.convert_to_numpy(y_true) * 0
    assert float(ExtentLoss()(y_true, y_pred)) == 0.0


def test_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(batch, height, width, 3\)"):
        extent_loss(np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 8, 1)))


def test_training_moves_the_share_into_its_interval():
    y_true, _ = two_lungs(0, 0, (extent_bounds(3), extent_bounds(1)))
    inputs = keras.Input((8, 8, 2))
    logits = keras.layers.Conv2D(1, 1)(inputs)
    model = keras.Model(inputs, AnnotatorStyle()(logits))
    model.compile(keras.optimizers.Adam(0.1), loss=ExtentLoss())
    sides = np.zeros((1, 8, 8, 2), "float32")
    sides[..., :4, 0], sides[..., 6:, 1] = 1, 1
    before = model.evaluate(sides, y_true, verbose=0)
    model.fit(sides, y_true, epochs=60, verbose=0)
    assert before > 0.05
    assert model.evaluate(sides, y_true, verbose=0) == 0.0


def test_a_saved_network_with_a_style_goes_on_training(tmp_path, eagerly):
    y_true, _ = two_lungs(0, 0, (extent_bounds(3), extent_bounds(1)))
    inputs = keras.Input((8, 8, 1))
    logits = keras.layers.Conv2D(1, 3, padding="same")(inputs)
    model = keras.Model(inputs, AnnotatorStyle(0.42, -0.04)(logits))
    model.compile("adam", loss=ExtentLoss())
    images = np.random.default_rng(0).random((1, 8, 8, 1), dtype="float32")
    model.fit(images, y_true, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_array_equal(
        *(keras.ops.convert_to_numpy(m(images)) for m in (model, again))
    )
    assert isinstance(again.loss, ExtentLoss)
    before = again.get_weights()
    again.fit(images, y_true, verbose=0)
    assert any((a != b).any() for a, b in zip(before, again.get_weights(), strict=True))


def test_style_is_a_scaled_and_shifted_sigmoid():
    style = AnnotatorStyle(scale=0.42, offset=-0.04)
    logits = np.array([[-3.0], [0.0], [2.0]], "float32")
    expected = 1 / (1 + np.exp(-(0.42 * logits - 0.04)))
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(style(logits)), expected, rtol=1e-5
    )
    again = AnnotatorStyle.from_config(style.get_config())
    assert again.get_config() == style.get_config()
    with pytest.raises(ValueError, match="must be positive"):
        AnnotatorStyle(scale=0)
