"""The tf_keras twin of a Keras 3 network."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

# Not importorskip: the import would set TF_USE_LEGACY_KERAS for all other tests.
if importlib.util.find_spec("tensorflow_model_optimization") is None:
    pytest.skip("needs covseg-tf[quant]", allow_module_level=True)

from covseg_tf.deploy.optimization import legacy_keras
from covseg_tf.deploy.optimization.legacy_keras import import_tf_keras
from covseg_tf.deploy.optimization.twin import (
    copy_weights_back,
    tf_keras_twin,
    twin_difference,
)
from covseg_tf.models import (
    DualFlowSegmenter,
    EdgeEncoder,
    preset_arguments,
    pyramid_encoder,
)

RELEASED = preset_arguments("co_era_net_as_released")
NETWORKS = {
    "region_fusion": {"separable": True},
    "self": {"attention": "self"},
    "self_separable": {"attention": "self", "separable": True},
    "none": {"attention": "none"},
    "residual": {"attention_options": {"residual": True, "gate_bias": 2.0}},
    "as_released": {"attention_options": RELEASED["attention_options"]},
    "deep": {"side_outputs": ("scales",), "separable": True},
    "infection_only": {"lung_supervision": False},
}


def network(**options):
    keras.utils.set_random_seed(0)
    encoder = EdgeEncoder((64, 64, 1), 4, (4, 6, 8), (1, 0, 0))
    return DualFlowSegmenter(encoder, (6, 4), **options)


def shake(model, seed=0):
    """Weights and statistics of no special value, and maps that vary."""
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            w * rng.uniform(1.0, 2.0 if w.ndim == 4 else 1.5, w.shape)
            + np.abs(rng.normal(0.0, 0.1, w.shape)) * (w.ndim == 1)
            for w in model.get_weights()
        ]
    )
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_twin_is_the_same_network(name):
    model = shake(network(**NETWORKS[name]))
    twin = tf_keras_twin(model)
    assert twin_difference(model, twin) <= 1e-5
    images = np.random.default_rng(1).random((2, 64, 64, 1), dtype="float32")
    maps, twins = model(images), twin.model(images)
    assert set(maps) == set(twins)
    for flow in maps:
        assert np.asarray(twins[flow]).std() > 1e-3
        np.testing.assert_allclose(twins[flow], maps[flow], atol=1e-5)


def test_inference_model_drops_the_side_outputs():
    model = shake(network(side_outputs=("scales",)))
    twin = tf_keras_twin(model.inference_model())
    assert set(twin.model.output) == {"lung", "infection"}
    assert not any("side" in layer.name for layer in twin.model.layers)


def test_backbone_inside_a_model_is_laid_flat():
    encoder = pyramid_encoder("MobileNetV2", (64, 64, 1))
    model = DualFlowSegmenter(encoder, (8, 8, 8), separable=True)
    twin = tf_keras_twin(model)
    assert twin_difference(model, twin) <= 1e-5
    tf_keras = import_tf_keras()
    assert not any(isinstance(x, tf_keras.Model) for x in twin.model.layers)
    assert "mobilenetv2_block_1_expand" in twin.sources


def test_rescaling_is_a_convolution_that_stays():
    inputs = keras.Input((8, 8, 3))
    offset = [-103.9, -116.8, -123.7]
    model = keras.Model(inputs, keras.layers.Rescaling(255.0, offset)(inputs))
    twin = tf_keras_twin(model)
    images = np.random.default_rng(0).random((2, 8, 8, 3), dtype="float32")
    expected = images * 255 + np.float32(offset)
    np.testing.assert_allclose(twin.model(images), expected, rtol=1e-5, atol=1e-4)
    assert not twin.model.trainable_weights
    assert not twin.sources


def test_weights_make_the_round_trip(tiny_model):
    target = keras.models.clone_model(tiny_model)
    twin = tf_keras_twin(target)
    assert twin_difference(tiny_model, twin) > 1e-5  # other weights, other maps
    trained = tf_keras_twin(shake(keras.models.clone_model(tiny_model), 3))
    copy_weights_back(trained.model, twin)
    for name, source in twin.sources.items():
        expected = trained.model.get_layer(name).get_weights()
        for ours, theirs in zip(source.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert twin_difference(target, trained) <= 1e-5
    covered = sum(np.size(w) for x in twin.sources.values() for w in x.get_weights())
    assert covered == target.count_params()


def test_weights_of_another_network_are_refused(tiny_model):
    twin = tf_keras_twin(tiny_model)
    other = tf_keras_twin(network(attention="none", separable=True)).model
    with pytest.raises(ValueError, match="no layer 'p2_block1_1_conv'|made of the"):
        copy_weights_back(other, twin)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (keras.layers.LayerNormalization(), "No tf_keras twin for LayerNormalization"),
        (keras.layers.Conv2D(2, 1, activation="gelu"), "activation 'gelu'"),
        (lambda x: x * 2.0, "No tf_keras twin for Multiply"),
    ],
)
def test_what_is_not_translated_is_named(layer, text):
    inputs = keras.Input((8, 8, 1))
    with pytest.raises(ValueError, match=text):
        tf_keras_twin(keras.Model(inputs, layer(inputs)))


def test_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="Only a functional Keras model"):
        tf_keras_twin(Own())


def test_nothing_else_sees_keras_2():
    """The switch is as it was, tf.keras is Keras 3 and keras-cv still works."""
    if importlib.util.find_spec("keras_cv") is None:
        pytest.skip("needs covseg-tf[cv]")
    code = """
import os
from covseg_tf.deploy.optimization.legacy_keras import import_tfmot
import_tfmot()
assert "TF_USE_LEGACY_KERAS" not in os.environ, "the switch stayed"
import keras, tensorflow as tf
assert tf.keras.__version__ == keras.__version__
import keras_cv
layer = keras_cv.layers.RandomFlip()
print(layer(keras.ops.ones((1, 4, 4, 3)), training=True).shape)
"""
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert "(1, 4, 4, 3)" in result.stdout


def test_a_switch_that_was_set_is_set_again(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    with legacy_keras._switch_restored():
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    assert os.environ["TF_USE_LEGACY_KERAS"] == "0"
