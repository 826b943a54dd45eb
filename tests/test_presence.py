"""Thresholds kept in the weights, and statistics of images as they are."""

import keras
import numpy as np
import pytest
from keras import ops

from covseg_tf.models import DualFlowSegmenter, EdgeEncoder, set_infection_threshold
from covseg_tf.training import recalibrate_batch_norm


def network():
    keras.utils.set_random_seed(3)
    encoder = EdgeEncoder((64, 64, 1), 4, (4, 6), (0, 0))
    return DualFlowSegmenter(encoder, attention="none")


def test_a_threshold_becomes_one_half():
    """p > 0.2 before is p > 0.5 after, on every pixel; the lung map stays."""
    model = network()
    image = np.random.default_rng(0).random((1, 64, 64, 1), dtype="float32")
    before = {k: ops.convert_to_numpy(v) for k, v in model(image).items()}
    set_infection_threshold(model, 0.2)
    after = {k: ops.convert_to_numpy(v) for k, v in model(image).items()}
    sure = np.abs(before["infection"] - 0.2) > 1e-5
    assert np.array_equal(
        (before["infection"] > 0.2)[sure], (after["infection"] > 0.5)[sure]
    )
    np.testing.assert_array_equal(before["lung"], after["lung"])
    with pytest.raises(ValueError, match=r"in \(0, 1\)"):
        set_infection_threshold(model, 0.0)


def test_a_temperature_divides_the_moved_logits():
    model = network()
    image = np.random.default_rng(0).random((1, 64, 64, 1), dtype="float32")

    head = keras.Model(model.inputs[0], model.get_layer("infection_logits").output)

    def logits():
        return ops.convert_to_numpy(head(image))

    before = logits()
    set_infection_threshold(model, 0.3, temperature=2.0)
    expected = (before - np.log(0.3 / 0.7)) / 2
    np.testing.assert_allclose(logits(), expected, atol=1e-4)
    with pytest.raises(ValueError, match="`temperature` must be above 0"):
        set_infection_threshold(model, 0.5, 0.0)


def test_statistics_by_hand():
    """Mean and variance of each batch, averaged; momentum and weights stay."""
    inputs = keras.Input((4, 4, 2))
    layer = keras.layers.BatchNormalization(momentum=0.9)
    model = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(0)
    batches = rng.normal(2.0, 3.0, (3, 5, 4, 4, 2)).astype("float32")
    layer.moving_mean.assign([50.0, 50.0])
    gamma = ops.convert_to_numpy(layer.gamma)
    recalibrate_batch_norm(model, [(batch, None) for batch in batches], batches=2)
    used = batches[:2]
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.moving_mean), used.mean((0, 1, 2, 3)), rtol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.moving_variance),
        used.var((1, 2, 3)).mean(0),
        rtol=1e-4,
    )
    assert layer.momentum == 0.9
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.gamma), gamma)


def test_statistics_need_images():
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.BatchNormalization()]
    )
    with pytest.raises(ValueError, match="at least one batch"):
        recalibrate_batch_norm(model, [])
    with pytest.raises(ValueError, match="`batches` must be at least 1"):
        recalibrate_batch_norm(model, [np.zeros((1, 2, 2, 1))], batches=0)
