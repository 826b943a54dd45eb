"""What Keras expects of a layer, loss or metric, one harness for all."""

import harness
import keras
import numpy as np
import pytest
from citizens import NETWORKS, PARTS
from keras import ops

from covseg_tf import layers, losses, metrics, models
from covseg_tf.layers import RegionFusionAttention

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("cls", "arguments"), PARTS, ids=[cls.__name__ for cls, _ in PARTS]
)
def test_good_citizens_of_keras(cls, arguments):
    harness.check(cls, arguments if callable(arguments) else lambda: arguments)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("separable", [False, True])
def test_layer_under_mixed_precision(policy, separable):
    layer = RegionFusionAttention(separable=separable, dtype=policy)
    image = np.random.default_rng(0).random((2, 8, 8, 1), dtype="float32")
    features = image.repeat(4, axis=-1)
    got = layer([features, features])
    assert keras.backend.standardize_dtype(got.dtype) == policy.removeprefix("mixed_")
    assert all(
        keras.backend.standardize_dtype(w.dtype) == "float32" for w in layer.weights
    )
    full = RegionFusionAttention(separable=separable)
    full([features, features])
    full.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(got, "float32")),
        ops.convert_to_numpy(full([features, features])),
        atol=0.02,
    )


def test_every_public_class_went_through_the_harness():
    packages = (layers, losses, metrics, models)
    public = {getattr(p, n) for p in packages for n in p.__all__ if n[0].isupper()}
    # Their inputs and targets are of another shape: tests/test_extent.py.
    elsewhere = {layers.AnnotatorStyle, losses.ExtentLoss}
    assert public == {cls for cls, _ in (*PARTS, *NETWORKS)} | elsewhere
