"""One seam for every backbone: names, keras-cv, keras-hub, our own."""

import subprocess
import sys

import harness
import keras
import numpy as np
import pytest
from keras import ops

from covseg_tf.models import DualFlowSegmenter, EdgeEncoder, pyramid_encoder

IMAGE = np.linspace(0, 1, 64 * 64, dtype="float32").reshape(1, 64, 64, 1)


def maps_of(encoder):
    model = DualFlowSegmenter(encoder, (8, 8, 8), separable=True)
    return model(IMAGE)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("MobileNetV2", [144, 192, 576, 1280]),
        ("MobileNetV3Small", [72, 96, 288, 576]),
        ("EfficientNetV2B0", None),
        ("ResNet50", [256, 512, 1024, 2048]),
        ("ConvNeXtTiny", [96, 192, 384, 768]),
    ],
)
def test_architectures_of_keras_applications(name, channels):
    encoder = pyramid_encoder(name, (64, 64, 1))
    levels = encoder.outputs
    assert [level.shape[1] for level in levels] == [16, 8, 4, 2]
    if channels:
        assert [level.shape[-1] for level in levels] == channels
    for layer in encoder.layers[-1].layers:
        assert getattr(layer, "momentum", 0) <= 0.99
    assert maps_of(encoder)["infection"].shape == (1, 64, 64, 1)


def test_dynamic_size_takes_the_same_layers():
    static, dynamic = (
        pyramid_encoder("MobileNetV2", shape)
        for shape in ((64, 64, 1), (None, None, 1))
    )
    assert [x.shape[-1] for x in static.outputs] == [
        x.shape[-1] for x in dynamic.outputs
    ]
    dynamic.set_weights(static.get_weights())
    for one, other in zip(static(IMAGE), dynamic(IMAGE), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert dynamic(np.zeros((1, 96, 64, 1)))[-1].shape[1:3] == (3, 2)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("MobileNetV2", [[-1, -1, -1], [1, 1, 1]]),
        ("ConvNeXtTiny", [[0, 0, 0], [255, 255, 255]]),
        (
            "ResNet50",
            [[-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]],
        ),
    ],
)
def test_grey_becomes_what_the_architecture_expects(name, want):
    """Black and white, as `keras.applications.*.preprocess_input` maps them."""
    encoder = pyramid_encoder(name, (32, 32, 1))
    entry = keras.Model(encoder.input, encoder.get_layer("value_range").output)
    for level, colour in zip((0.0, 1.0), want, strict=True):
        got = ops.convert_to_numpy(entry(np.full((1, 32, 32, 1), level)))
        np.testing.assert_allclose(got[0, 0, 0], colour, atol=1e-3)


def test_weights_load_from_a_file(tmp_path):
    donor = keras.applications.MobileNetV2(include_top=False, weights=None)
    path = tmp_path / "mobilenet.weights.h5"
    donor.save_weights(path)
    encoder = pyramid_encoder("MobileNetV2", (64, 64, 1), weights=str(path))
    inner = encoder.get_layer("mobilenetv2")
    np.testing.assert_array_equal(
        inner.get_layer("Conv1").get_weights()[0],
        donor.get_layer("Conv1").get_weights()[0],
    )


def test_keras_hub_backbone():
    import keras_hub as hub

    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 12, 16, 20],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(64, 64, 3),
    )
    encoder = pyramid_encoder(backbone, (64, 64, 1), value_range=(0, 1))
    assert [x.shape[-1] for x in encoder.outputs] == [64, 12, 16, 20]
    assert maps_of(encoder)["lung"].shape == (1, 64, 64, 1)


def test_keras_cv_backbone():
    """In a process of its own: importing keras-cv warns and changes globals."""
    code = """
import numpy as np
import keras_cv
from covseg_tf.models import DualFlowSegmenter, pyramid_encoder

backbone = keras_cv.models.ResNetBackbone(
    stackwise_filters=[8, 12, 16, 20],
    stackwise_blocks=[1, 1, 1, 1],
    stackwise_strides=[1, 2, 2, 2],
    include_rescaling=True,
    input_shape=(64, 64, 3),
)
encoder = pyramid_encoder(backbone, (64, 64, 1))
assert [x.shape[-1] for x in encoder.outputs] == [32, 48, 64, 80], encoder.outputs
model = DualFlowSegmenter(encoder, (8, 8, 8), separable=True)
assert model(np.zeros((1, 64, 64, 1)))["lung"].shape == (1, 64, 64, 1)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]


def test_convnext_network_is_saved_and_loaded_in_a_new_process(tmp_path):
    encoder = pyramid_encoder("ConvNeXtTiny", (32, 32, 1), normalize=True)
    assert [x.name for x in encoder.layers if x.name.endswith("_norm")] == [
        "p2_norm",
        "p3_norm",
        "p4_norm",
    ]
    model = DualFlowSegmenter(encoder, (4, 4, 4), separable=True)
    harness.check_in_a_new_process(model, IMAGE[:, :32, :32], tmp_path)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: pyramid_encoder("VGG16"), "Received: backbone='VGG16'"),
        (lambda: pyramid_encoder("MobileNetV2", (250, 256, 1)), "250 are 224 and 256"),
        (lambda: pyramid_encoder("MobileNetV2", (256, 256, 2)), r"\(256, 256, 2\)"),
        (
            lambda: pyramid_encoder(keras.Sequential(name="s")),
            "Received: Sequential",
        ),
        (
            lambda: pyramid_encoder(EdgeEncoder((64, 64, 1)), weights="imagenet"),
            "an instance has its own",
        ),
    ],
)
def test_errors(build, text):
    with pytest.raises(ValueError, match=text):
        build()
