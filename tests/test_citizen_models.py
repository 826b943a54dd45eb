"""What Keras expects of a network, and what it does on either backend."""

import os
import subprocess
import sys

import harness
import keras
import numpy as np
import pytest
from citizens import NETWORKS
from keras import ops

from covseg_tf.losses import CombinedSegmentationLoss
from covseg_tf.metrics import DiceScore, FMeasure
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder, region_gates

pytestmark = pytest.mark.backend


def image(size=(32, 32), batch=2):
    return np.random.default_rng(0).random((batch, *size, 1), dtype="float32")


def small(size=(32, 32), **kwargs):
    encoder = EdgeEncoder((*size, 1), 4, (4, 6, 8), (0, 0, 0))
    return DualFlowSegmenter(encoder, **kwargs)


@pytest.mark.parametrize(
    ("cls", "arguments"), NETWORKS, ids=[cls.__name__ for cls, _ in NETWORKS]
)
def test_good_citizens_of_keras(cls, arguments):
    harness.check(cls, arguments if callable(arguments) else lambda: arguments)


def test_combined_loss_under_half_precision_with_every_metric(eagerly):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = small()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(
        "adam",
        loss=CombinedSegmentationLoss(),
        metrics={"infection": [DiceScore(), FMeasure()]},
    )
    mask = (image() > 0.5).astype("float32")
    masks = {"lung": mask, "infection": mask}
    history = model.fit(image(), masks, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    # A map in half precision could not be 0.999 sure.
    for maps in model(image()).values():
        assert keras.backend.standardize_dtype(maps.dtype) == "float32"


def test_dynamic_size_and_the_next_valid_one():
    model = small((None, None))
    assert model(image((48, 80)))["lung"].shape == (2, 48, 80, 1)
    with pytest.raises(ValueError, match="next valid sizes to 50 are 48 and 64"):
        model(image((50, 64)))


def test_the_same_weights_on_the_other_backend(tmp_path):
    """Output within 1e-4; that it trains there, the tests on that backend say."""
    other = "jax" if keras.backend.backend() == "tensorflow" else "tensorflow"
    model = small(separable=True, side_outputs=("scales",))
    path, x, y = (tmp_path / name for name in ("m.keras", "x.npy", "y.npy"))
    model.save(path)
    np.save(x, image())
    np.save(y, ops.convert_to_numpy(model(image())["infection"]))
    code = """
import sys, numpy as np, keras
import covseg_tf.models
assert keras.backend.backend() == sys.argv[4]
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
x = np.load(sys.argv[2])
got = keras.ops.convert_to_numpy(model(x)["infection"])
np.testing.assert_allclose(got, np.load(sys.argv[3]), atol=1e-4)
"""
    result = subprocess.run(
        [sys.executable, "-c", code, path, x, y, other],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": other},
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_gates_are_those_that_the_network_applies():
    """F_I' = A_I * F_I: the layer's output over its input is the gate."""
    model = small()
    gates = region_gates(model, image())
    assert list(gates) == ["rfa_d1", "rfa_d1_1", "rfa_d2", "rfa_d2_1"]
    layer = model.get_layer("rfa_d2_1")
    probe = keras.Model(model.input, [layer.input[1], layer.output])
    before, after = (ops.convert_to_numpy(t) for t in probe(image()))
    some = before > 1e-3
    ratio = (after / np.where(some, before, 1))[some]
    want = np.broadcast_to(gates["rfa_d2_1"]["infection"][..., None], before.shape)
    np.testing.assert_allclose(ratio, want[some], rtol=1e-3)
    for pair in gates.values():
        assert pair["lung"].shape == pair["infection"].shape
        assert 0 < pair["lung"].min() <= pair["lung"].max() < 1
    with pytest.raises(ValueError, match="no RegionFusionAttention"):
        region_gates(small(attention="none"), image())
