import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from covseg_tf.losses import (
    CombinedSegmentationLoss,
    combined_segmentation_loss,
    soft_iou_loss,
    structural_similarity,
)


def random_pair(rng, shape=(3, 24, 31, 1)):
    mask = (rng.random(shape) > 0.6).astype("float32")
    return mask, rng.random(shape).astype("float32")


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_tensorflow(channels):
    rng = np.random.default_rng()
    a, b = rng.random((2, 4, 33, 21, channels)).astype("float32")
    got = structural_similarity(a, b)
    want = tf.image.ssim(a, b, max_val=1.0)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_soft_iou_by_hand():
    """p = 1/2 on 2 of 4 pixels, one of them in the mask of one pixel.

    sum(pg) = 1/2, union = 1 + 1 - 1/2 = 3/2; smooth 1: 1 - 1.5 / 2.5 = 0.4.
    """
    mask = np.array([1, 0, 0, 0], "float32").reshape(1, 2, 2, 1)
    probability = np.array([0.5, 0.5, 0, 0], "float32").reshape(1, 2, 2, 1)
    assert float(soft_iou_loss(mask, probability)[0]) == pytest.approx(0.4)


def test_combined_is_the_sum_of_its_terms():
    rng = np.random.default_rng()
    mask, probability = random_pair(rng)
    p, g = probability.astype(float), mask.astype(float)
    bce = -(g * np.log(p) + (1 - g) * np.log(1 - p)).mean(axis=(1, 2, 3))
    both = (p * g).sum(axis=(1, 2, 3))
    union = p.sum(axis=(1, 2, 3)) + g.sum(axis=(1, 2, 3)) - both
    ssim = tf.image.ssim(mask, probability, 1.0).numpy()
    want = 2 * bce + 3 * (1 - ssim) + 0.5 * (1 - (both + 1) / (union + 1))
    got = combined_segmentation_loss(mask, probability, 2.0, 3.0, 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_empty_mask_predicted_empty_costs_nothing():
    empty = np.zeros((2, 16, 16, 1), "float32")
    np.testing.assert_allclose(combined_segmentation_loss(empty, empty), 0, atol=1e-5)


def test_paint_on_an_empty_mask_costs_and_is_pushed_away():
    empty = tf.zeros((1, 16, 16, 1))
    painted = tf.Variable(tf.fill((1, 16, 16, 1), 0.3))
    with tf.GradientTape() as tape:
        loss = soft_iou_loss(empty, painted)
    # 256 pixels of 0.3: 1 - 1 / (76.8 + 1)
    assert float(loss[0]) == pytest.approx(1 - 1 / 77.8, rel=1e-5)
    assert float(tf.reduce_min(tape.gradient(loss, painted))) > 0


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_saturated_wrong_predictions_stay_finite(value):
    mask = tf.fill((1, 16, 16, 1), 1.0 - value)
    prediction = tf.Variable(tf.fill((1, 16, 16, 1), value))
    with tf.GradientTape() as tape:
        loss = combined_segmentation_loss(mask, prediction)
    assert math.isfinite(float(loss[0]))
    assert np.isfinite(tape.gradient(loss, prediction)).all()


def test_class_is_the_mean_of_the_function_and_round_trips():
    mask, probability = random_pair(np.random.default_rng())
    loss = CombinedSegmentationLoss(bce_weight=0.5, ssim_weight=2.0, smooth=3.0)
    want = np.mean(combined_segmentation_loss(mask, probability, 0.5, 2.0, 1.0, 3.0))
    assert float(loss(mask, probability)) == pytest.approx(float(want), rel=1e-6)
    config = keras.losses.serialize(loss)
    again = keras.losses.deserialize(config)
    assert again.get_config() == loss.get_config()


def test_errors():
    with pytest.raises(ValueError, match="not all 0"):
        CombinedSegmentationLoss(0, 0, 0)
    with pytest.raises(ValueError, match="positive"):
        CombinedSegmentationLoss(smooth=0)
    with pytest.raises(ValueError, match=r"y_pred.shape=\(1, 8, 9, 1\)"):
        soft_iou_loss(np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 9, 1)))
    with pytest.raises(ValueError, match="at least 11x11"):
        structural_similarity(np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 8, 1)))
