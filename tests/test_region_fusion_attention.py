"""RFA against a NumPy reference written from the equations."""

import keras
import numpy as np
import pytest
from keras import ops

from covseg_tf.layers import RegionFusionAttention

pytestmark = pytest.mark.backend


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def convolve(x, kernel, rate=1):
    """Correlation with zero padding, `(h, w, c)` by `(3, 3, c, o)`, float64."""
    height, width, _ = x.shape
    padded = np.pad(x, ((rate, rate), (rate, rate), (0, 0)))
    out = np.zeros((height, width, kernel.shape[-1]))
    for i in range(3):
        for j in range(3):
            window = padded[i * rate : i * rate + height, j * rate : j * rate + width]
            out += window @ kernel[i, j]
    return out


def reference(weights, lung, infection, rates, gate, separable, shared=False):
    """The five equations of the layer's docstring, one image."""
    a_l = sigmoid(
        convolve(lung, weights["lung_gate/kernel"]) + weights["lung_gate/bias"]
    )
    g = a_l * infection
    branches = []
    for position, rate in enumerate(rates):
        index = rates.index(rate) if shared else position
        if separable:
            depthwise = weights[f"branch_{index}_depthwise/kernel"]
            channels = g.shape[-1]
            full = np.zeros((3, 3, channels, channels))
            for c in range(channels):
                full[:, :, c, c] = depthwise[:, :, c, 0]
            b = convolve(g, full, rate)
            b = b @ weights[f"branch_{index}_pointwise/kernel"][0, 0]
        else:
            b = convolve(g, weights[f"branch_{index}_conv/kernel"], rate)
        norm = f"branch_{index}_norm"
        b = (b - weights[f"{norm}/moving_mean"]) / np.sqrt(
            weights[f"{norm}/moving_variance"] + 1e-5
        )
        b = b * weights[f"{norm}/gamma"] + weights[f"{norm}/beta"]
        branches.append(np.maximum(b, 0))
    a_i = convolve(np.concatenate(branches, -1), weights["infection_gate/kernel"])
    a_i = a_i + weights["infection_gate/bias"]
    if gate == "sigmoid":
        a_i = sigmoid(a_i)
    return a_i * infection


def randomize(layer, rng):
    """Fresh weights everywhere, the statistics of the norms included."""
    weights = {}
    for variable in layer.weights:
        value = rng.normal(size=variable.shape) * 0.5
        if "variance" in variable.path:
            value = np.abs(value) + 0.5
        variable.assign(value)
        weights["/".join(variable.path.split("/")[-2:])] = keras.ops.convert_to_numpy(
            variable
        ).astype(np.float64)
    return weights


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("gate", ["sigmoid", "linear"])
@pytest.mark.parametrize("rates", [(1, 3, 5), (2,)])
def test_equals_the_equations(rates, gate, separable):
    rng = np.random.default_rng()
    lung = rng.normal(size=(2, 12, 9, 5)).astype("float32")
    infection = rng.normal(size=(2, 12, 9, 4)).astype("float32")
    layer = RegionFusionAttention(rates, gate=gate, separable=separable)
    layer.build([lung.shape, infection.shape])
    weights = randomize(layer, rng)
    got = keras.ops.convert_to_numpy(layer([lung, infection], training=False))
    for image in range(2):
        want = reference(weights, lung[image], infection[image], rates, gate, separable)
        np.testing.assert_allclose(got[image], want, rtol=2e-4, atol=2e-4)


def test_released_form_equals_the_equations():
    """Dilations 1, 5, 5, the last two one branch; the gate is not squashed."""
    rng = np.random.default_rng()
    lung, infection = rng.normal(size=(2, 1, 14, 11, 4)).astype("float32")
    layer = RegionFusionAttention((1, 5, 5), gate="linear", share_equal_rates=True)
    layer.build([lung.shape, infection.shape])
    weights = randomize(layer, rng)
    # 2 gates (9 C + 1 and 27 C + 1) and 2 branches (9 C^2 + 4 C), not 3.
    assert layer.count_params() == 37 + 109 + 2 * (144 + 16)
    got = keras.ops.convert_to_numpy(layer([lung, infection], training=False))
    want = reference(
        weights, lung[0], infection[0], (1, 5, 5), "linear", False, shared=True
    )
    np.testing.assert_allclose(got[0], want, rtol=2e-4, atol=2e-4)
    assert np.abs(got / infection).max() > 1  # a gate beyond (0, 1)


def test_by_hand_with_zero_weights():
    """All-zero convolutions: A_I = sigmoid(0) = 1/2, so F_I' = F_I / 2."""
    layer = RegionFusionAttention()
    infection = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    layer.build([(1, 4, 4, 3), infection.shape])
    for variable in layer.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    got = layer([np.ones((1, 4, 4, 3), "float32"), infection])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(got), infection / 2)


def test_residual_form_and_first_gate_by_hand():
    """Zero kernels, bias b: A_I = sigmoid(b), so F_I' = (1 + sigmoid(b)) F_I."""
    layer = RegionFusionAttention(residual=True, gate_bias=2.0)
    infection = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    lung = np.ones((1, 4, 4, 3), "float32")
    layer.build([lung.shape, infection.shape])
    for variable in layer.trainable_variables:
        if "kernel" in variable.path:
            variable.assign(np.zeros(variable.shape))
    got = keras.ops.convert_to_numpy(layer([lung, infection]))
    np.testing.assert_allclose(got, 1.8807971 * infection, rtol=1e-6)
    gate = keras.ops.convert_to_numpy(layer.lung_attention(lung))
    np.testing.assert_allclose(gate, np.full((1, 4, 4, 1), 0.8807971), rtol=1e-6)


def test_influence_runs_from_lung_to_infection():
    rng = np.random.default_rng(0)
    layer = RegionFusionAttention()
    infection = rng.normal(size=(1, 8, 8, 4)).astype("float32")
    one, other = rng.normal(size=(2, 1, 8, 8, 4)).astype("float32") * 5
    before, after = (
        ops.convert_to_numpy(layer([lung, infection])) for lung in (one, other)
    )
    assert not np.allclose(before, after)


def test_config_round_trip_and_weights():
    layer = RegionFusionAttention((1, 2), gate="linear", separable=True, name="rfa")
    config = layer.get_config()
    again = RegionFusionAttention.from_config(config)
    assert again.get_config() == config
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype("float32")
    layer([x, x])
    again([x, x])
    again.set_weights(layer.get_weights())
    want, got = (ops.convert_to_numpy(one([x, x])) for one in (layer, again))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"dilation_rates": ()}, r"Received: \(\)"),
        ({"dilation_rates": (0, 1)}, "positive integers"),
        ({"gate": "softmax"}, "Received: gate='softmax'"),
    ],
)
def test_bad_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        RegionFusionAttention(**arguments)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ([(1, 8, 8, 4)], "two 4-D tensors"),
        ([(1, 8, 4), (1, 8, 8, 4)], "two 4-D tensors"),
        ([(1, 4, 8, 4), (1, 8, 8, 4)], "same height"),
    ],
)
def test_bad_shapes(shapes, text):
    with pytest.raises(ValueError, match=text):
        RegionFusionAttention().build(shapes)
