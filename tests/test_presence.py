"""The presence gate's operating point, and statistics of images as they are."""

import keras
import numpy as np
import pytest
from keras import ops

from covseg_tf.data import read_covid_qu_ex
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import evaluate, presence_operating_points, summarize_rows
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.training import (
    gated_logits,
    recalibrate_batch_norm,
    set_infection_threshold,
    shift_presence,
)

SPEC = PreprocessingSpec(64, 64)


def network(gate=True):
    keras.utils.set_random_seed(3)
    encoder = EdgeEncoder((64, 64, 1), 4, (4, 6), (0, 0))
    side_outputs = ("presence",) if gate else ()
    model = DualFlowSegmenter(encoder, attention="none", side_outputs=side_outputs)
    if gate:
        # An answer that differs between images and lies about the gate's edge.
        head = model.get_layer("presence_absence")
        head.set_weights([weight * 0 + 0.5 for weight in head.get_weights()])
        model.get_layer("infection_logits").bias.assign([3.0])
    return model


@pytest.mark.parametrize("shift", [-2.0, 0.0, 1.5])
def test_a_point_is_what_the_shifted_network_scores(phantom_data, shift):
    samples = read_covid_qu_ex(phantom_data, "Val")
    model = network()
    (point,) = presence_operating_points(
        gated_logits(model, SPEC), samples, SPEC, [shift], [0.4]
    )
    shift_presence(model, shift)
    gated = model.inference_model()

    def predict(pixels):
        maps = gated.predict_on_batch(pixels[None, :, :, None] * SPEC.scale)
        return {flow: maps[flow][0, :, :, 0] for flow in maps}

    want = summarize_rows(evaluate(predict, samples, SPEC, threshold=0.4))
    assert point["lesions"] == pytest.approx(want["infection"]["lesions"]["dice"])
    assert point["all_images"] == pytest.approx(want["infection"]["all_images"]["dice"])
    assert point["left_empty"] == want["left_empty"]


def test_a_threshold_becomes_one_half(phantom_data):
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


def test_a_wider_gate_leaves_no_more_images_empty(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Val")
    points = presence_operating_points(
        gated_logits(network(), SPEC), samples, SPEC, (-9, -1, 0, 1, 9)
    )
    empty = [sum(point["left_empty"].values()) for point in points]
    assert empty == sorted(empty, reverse=True)
    assert empty[0] > empty[-1]


def test_what_has_no_gate_is_refused(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Val")
    with pytest.raises(ValueError, match=r"build it with side_outputs=\('presence',\)"):
        shift_presence(network(gate=False), 1.0)
    with pytest.raises(ValueError, match=r"build it with side_outputs=\('presence',\)"):
        presence_operating_points(
            gated_logits(network(gate=False), SPEC), samples, SPEC, [0]
        )
    with pytest.raises(ValueError, match=r"must be in \(0, 1\)"):
        presence_operating_points(
            gated_logits(network(), SPEC), samples, SPEC, [0], [1.0]
        )


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
