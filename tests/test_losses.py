import math

import keras
import numpy as np
import pytest
from backend import gradient
from keras import ops

from covseg_tf.losses import (
    CombinedSegmentationLoss,
    PresenceLoss,
    SoftIoULoss,
    StructuralSimilarityLoss,
    combined_segmentation_loss,
    soft_iou_loss,
    structural_similarity,
    structural_similarity_loss,
)

pytestmark = pytest.mark.backend


def random_pair(rng, shape=(3, 24, 31, 1)):
    mask = (rng.random(shape) > 0.6).astype("float32")
    return mask, rng.random(shape).astype("float32")


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_tensorflow(channels):
    rng = np.random.default_rng()
    a, b = rng.random((2, 4, 33, 21, channels)).astype("float32")
    tf = pytest.importorskip("tensorflow")
    got = ops.convert_to_numpy(structural_similarity(a, b))
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
    ssim = ops.convert_to_numpy(structural_similarity(mask, probability))
    want = 2 * bce + 3 * (1 - ssim) + 0.5 * (1 - (both + 1) / (union + 1))
    got = combined_segmentation_loss(mask, probability, 2.0, 3.0, 0.5)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_empty_mask_predicted_empty_costs_nothing():
    empty = np.zeros((2, 16, 16, 1), "float32")
    np.testing.assert_allclose(combined_segmentation_loss(empty, empty), 0, atol=1e-5)


def test_paint_on_an_empty_mask_costs_and_is_pushed_away():
    empty = np.zeros((1, 16, 16, 1), "float32")
    painted = empty + np.float32(0.3)
    loss = soft_iou_loss(empty, painted)
    # 256 pixels of 0.3: 1 - 1 / (76.8 + 1)
    assert float(loss[0]) == pytest.approx(1 - 1 / 77.8, rel=1e-5)
    slope = gradient(lambda p: ops.sum(soft_iou_loss(empty, p)), painted)
    # d/dp of 1 - 1 / (sum p + 1) is 1 / (sum p + 1)^2, for each pixel
    np.testing.assert_allclose(slope, 1 / 77.8**2, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_saturated_wrong_predictions_stay_finite(value):
    mask = np.full((1, 16, 16, 1), 1.0 - value, "float32")
    prediction = np.full((1, 16, 16, 1), value, "float32")
    assert math.isfinite(float(combined_segmentation_loss(mask, prediction)[0]))
    slope = gradient(lambda p: ops.sum(combined_segmentation_loss(mask, p)), prediction)
    assert np.isfinite(slope).all()


def test_class_is_the_mean_of_the_function_and_round_trips():
    mask, probability = random_pair(np.random.default_rng())
    loss = CombinedSegmentationLoss(bce_weight=0.5, ssim_weight=2.0, smooth=3.0)
    want = ops.mean(combined_segmentation_loss(mask, probability, 0.5, 2.0, 1.0, 3.0))
    assert float(loss(mask, probability)) == pytest.approx(float(want), rel=1e-6)
    config = keras.losses.serialize(loss)
    again = keras.losses.deserialize(config)
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("loss", "function", "arguments"),
    [
        (SoftIoULoss, soft_iou_loss, {"smooth": 2.0}),
        (
            StructuralSimilarityLoss,
            structural_similarity_loss,
            {"filter_size": 7, "sigma": 1.0},
        ),
    ],
)
def test_terms_stand_alone(loss, function, arguments):
    mask, probability = random_pair(np.random.default_rng())
    each = ops.convert_to_numpy(function(mask, probability, **arguments))
    assert each.shape == (3,)
    term = loss(**arguments)
    assert float(term(mask, probability)) == pytest.approx(each.mean(), rel=1e-6)
    weighted = term(mask, probability, sample_weight=np.array([1.0, 0, 0]))
    assert float(weighted) == pytest.approx(each[0] / 3, rel=1e-6)
    again = keras.losses.deserialize(keras.losses.serialize(term))
    assert again.get_config() == term.get_config()


def test_errors():
    with pytest.raises(ValueError, match="smooth=-1"):
        SoftIoULoss(-1)
    with pytest.raises(ValueError, match="sigma=0"):
        StructuralSimilarityLoss(sigma=0)
    with pytest.raises(ValueError, match="not all 0"):
        CombinedSegmentationLoss(0, 0, 0)
    with pytest.raises(ValueError, match="positive"):
        CombinedSegmentationLoss(smooth=0)
    with pytest.raises(ValueError, match=r"y_pred.shape=\(1, 8, 9, 1\)"):
        soft_iou_loss(np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 9, 1)))
    with pytest.raises(ValueError, match="at least 11x11"):
        structural_similarity(np.zeros((1, 8, 8, 1)), np.zeros((1, 8, 8, 1)))


def test_presence_by_hand():
    """An empty mask and one of a single pixel, both said to show 3/4 of a lesion.

    -ln(1/4) for the first, -ln(3/4) for the second.
    """
    masks = np.zeros((2, 4, 4, 1), "float32")
    masks[1, 2, 3] = 1
    said = np.full((2, 1, 1, 1), 0.75, "float32")
    loss = ops.convert_to_numpy(PresenceLoss(reduction=None)(masks, said))
    np.testing.assert_allclose(loss, [math.log(4), math.log(4 / 3)], rtol=1e-5)
