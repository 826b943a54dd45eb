"""F-measures against PySODMetrics and by hand."""

import keras
import numpy as np
import pytest
from py_sod_metrics import MAE, FmeasureV2
from py_sod_metrics.fmeasurev2 import FmeasureHandler

from covseg_tf.data import read_covid_qu_ex
from covseg_tf.edge import read_image
from covseg_tf.evaluation import (
    adaptive_f_measure,
    f_measure_curve,
    summarize_f_measure,
)
from covseg_tf.metrics import FMeasure, MeanAbsoluteError

pytestmark = pytest.mark.backend


def of_pysodmetrics(masks, maps):
    """Returns maximum, mean and adaptive F-measure, and MAE."""
    handler = FmeasureHandler(
        beta=0.3, with_dynamic=True, with_adaptive=True, with_binary=False
    )
    measure, error = FmeasureV2({"fm": handler}), MAE()
    for mask, probability in zip(masks, maps, strict=True):
        measure.step(probability, mask, normalize=False)
        error.step(probability, mask, normalize=False)
    result = measure.get_results()["fm"]
    curve = result["dynamic"]
    return curve.max(), curve.mean(), result["adaptive"], error.get_results()["mae"]


def of_ours(masks, maps):
    summary = summarize_f_measure(masks, maps)
    return summary["f_max"], summary["f_mean"], summary["f_adaptive"]


def of_keras(masks, maps):
    masks = np.stack(masks)[..., None].astype("float32")
    maps = np.stack(maps)[..., None]
    values = []
    for metric in (
        *(FMeasure(mode) for mode in ("max", "mean", "adaptive")),
        MeanAbsoluteError(protocol="lesions"),
    ):
        for start in range(0, len(masks), 3):
            metric.update_state(masks[start : start + 3], maps[start : start + 3])
        values.append(float(metric.result()))
    return values


def random_pairs(rng, images=7, shape=(40, 31)):
    masks = [rng.random(shape) > 0.7 for _ in range(images)]
    # Maps that know something of the mask, of every sharpness.
    maps = [
        np.clip(0.5 * rng.random(shape) + s * m, 0, 1).astype("float32")
        for s, m in zip(np.linspace(0, 0.5, images), masks, strict=True)
    ]
    return masks, maps


def test_random_maps_agree_with_pysodmetrics():
    masks, maps = random_pairs(np.random.default_rng())
    want = of_pysodmetrics(masks, maps)
    assert of_ours(masks, maps) == pytest.approx(want[:3], abs=1e-6)
    assert of_keras(masks, maps) == pytest.approx(want, abs=1e-6)


@pytest.mark.data
def test_real_masks_agree_with_pysodmetrics(covid_qu_ex):
    rng = np.random.default_rng()
    samples = read_covid_qu_ex(covid_qu_ex, "Val")[:6]
    masks = [read_image(s.infection_mask) > 0 for s in samples]
    maps = [
        np.clip(0.7 * np.roll(m, 9, axis=1) + 0.3 * rng.random(m.shape), 0, 1).astype(
            "float32"
        )
        for m in masks
    ]
    want = of_pysodmetrics(masks, maps)
    assert of_ours(masks, maps) == pytest.approx(want[:3], abs=1e-6)
    assert of_keras(masks, maps) == pytest.approx(want, abs=1e-6)


def test_curve_by_hand():
    """Two of four pixels are foreground; p = 1, 0.8, 0.8, 0.

    At level 255: P = 1, R = 1/2, F = 1.3 * 0.5 / (0.3 + 0.5). At 204 = 0.8 * 255:
    P = 2/3, R = 1. At 0 all is painted: P = 1/2, R = 1.
    """
    mask = np.array([[1, 1, 0, 0]])
    curve = f_measure_curve(mask, np.array([[1, 0.8, 0.8, 0]]))
    assert curve[255] == pytest.approx(0.65 / 0.8)
    assert curve[1] == pytest.approx(1.3 * (2 / 3) / (0.2 + 1))
    assert curve[0] == pytest.approx(1.3 * 0.5 / (0.15 + 1))
    # Twice the mean is 1.3, so the threshold is 1.
    adaptive = adaptive_f_measure(mask, np.array([[1, 0.8, 0.8, 0]]))
    assert adaptive == pytest.approx(0.65 / 0.8)


def test_empty_masks():
    empty, dark, bright = np.zeros((3, 4, 4))
    bright = bright + 0.5
    assert f_measure_curve(empty, dark)[1:].tolist() == [1] * 255
    curve = f_measure_curve(empty, bright)
    assert curve[:128].sum() == 0
    assert curve[128:].tolist() == [1] * 128
    assert adaptive_f_measure(empty, dark) == 1
    assert adaptive_f_measure(empty, bright) == 0
    full = np.ones((4, 4))
    summary = summarize_f_measure([empty, full], [bright, full], "all_images")
    assert (summary["images"], summary["f_max"]) == (2, 1.0)
    assert summarize_f_measure([empty], [bright])["images"] == 0


@pytest.mark.parametrize("protocol", ["all_images", "lesions"])
@pytest.mark.parametrize("mode", ["max", "mean", "adaptive"])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_streaming_equals_the_reference_at_any_batch_size(size, mode, protocol):
    masks, maps = random_pairs(np.random.default_rng(), 8, (12, 9))
    masks[2][:] = masks[5][:] = False
    maps[5] *= 0
    metric = FMeasure(mode, protocol=protocol)
    for start in range(0, 8, size):
        metric.update_state(
            np.stack(masks[start : start + size])[..., None],
            np.stack(maps[start : start + size])[..., None],
        )
    want = summarize_f_measure(masks, maps, protocol)[f"f_{mode}"]
    assert float(metric.result()) == pytest.approx(want, abs=1e-6)


def test_config_and_errors():
    metric = FMeasure("adaptive", beta_squared=1.0, protocol="all_images", name="f")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    with pytest.raises(ValueError, match="mode='best'"):
        FMeasure("best")
    with pytest.raises(ValueError, match="beta_squared=0"):
        FMeasure(beta_squared=0)
    with pytest.raises(ValueError, match=r"Received values in \[2"):
        f_measure_curve(np.ones((2, 2)), np.full((2, 2), 2.0))
    with pytest.raises(ValueError, match="one shape"):
        adaptive_f_measure(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="protocol='some'"):
        summarize_f_measure([], [], "some")
