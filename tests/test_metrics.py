import keras
import numpy as np
import pytest

from covseg_tf.evaluation import image_scores, summarize
from covseg_tf.metrics import DiceScore, IoUScore, MeanAbsoluteError

pytestmark = pytest.mark.backend

METRICS = {"dice": DiceScore, "iou": IoUScore, "mae": MeanAbsoluteError}


def batch(rng, images=7):
    masks = (rng.random((images, 9, 8, 1)) > 0.7).astype("float32")
    masks[2] = masks[4] = 0
    maps = rng.random((images, 9, 8, 1)).astype("float32")
    maps[4] *= 0.4  # an empty mask left empty
    return masks, maps


def test_reference_by_hand():
    """2 pixels of truth, 3 painted, 1 shared: Dice 2/5, IoU 1/4."""
    mask = np.array([[1, 1, 0, 0, 0]])
    maps = np.array([[0.9, 0.1, 0.8, 0.6, 0.5]])
    scores = image_scores(mask, maps)
    assert scores["dice"] == pytest.approx(0.4)
    assert scores["iou"] == pytest.approx(0.25)
    assert scores["mae"] == pytest.approx((0.1 + 0.9 + 0.8 + 0.6 + 0.5) / 5)


def test_two_empty_masks_score_one_and_paint_scores_zero():
    empty = np.zeros((4, 4))
    assert image_scores(empty, empty)["dice"] == 1
    assert image_scores(empty, empty + 0.6)["dice"] == 0
    assert image_scores(empty, empty + 0.6)["iou"] == 0


@pytest.mark.parametrize("protocol", ["all_images", "lesions"])
@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("key", METRICS)
def test_streaming_equals_the_reference_at_any_batch_size(key, size, protocol):
    masks, maps = batch(np.random.default_rng())
    metric = METRICS[key](protocol=protocol)
    for start in range(0, len(masks), size):
        metric.update_state(masks[start : start + size], maps[start : start + size])
    rows = [
        image_scores(g[..., 0], p[..., 0]) for g, p in zip(masks, maps, strict=True)
    ]
    summary = summarize(rows, protocol)
    assert summary["images"] == {"all_images": 7, "lesions": 5}[protocol]
    assert float(metric.result()) == pytest.approx(summary[key], abs=1e-6)


def test_iou_and_dice_obey_their_identity():
    masks, maps = batch(np.random.default_rng())
    for mask, probability in zip(masks, maps, strict=True):
        scores = image_scores(mask, probability)
        iou = scores["iou"]
        assert scores["dice"] == pytest.approx(2 * iou / (1 + iou))


def test_no_image_counts():
    metric = DiceScore(protocol="lesions")
    metric.update_state(np.zeros((2, 4, 4, 1)), np.ones((2, 4, 4, 1)))
    assert float(metric.result()) == 0
    assert np.isnan(summarize([], "lesions")["dice"])


@pytest.mark.parametrize("key", METRICS)
def test_config_round_trip(key):
    metric = METRICS[key](threshold=0.3, protocol="lesions", name="m")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()


def test_errors():
    with pytest.raises(ValueError, match="Received: protocol='some'"):
        DiceScore(protocol="some")
    with pytest.raises(ValueError, match="threshold=1.5"):
        IoUScore(threshold=1.5)
    with pytest.raises(ValueError, match="one shape"):
        image_scores(np.zeros((2, 2)), np.zeros((2, 3)))
