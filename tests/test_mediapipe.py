"""The file for MediaPipe: one map of classes, labels and metadata inside."""

import importlib.util

import numpy as np
import pytest

from covseg_tf.deploy import export_mediapipe
from covseg_tf.deploy.mediapipe.export import LABELS
from covseg_tf.deploy.mediapipe.metadata import add_metadata, read_labels
from covseg_tf.deploy.tflite.contents import read_schema
from covseg_tf.edge import PreprocessingSpec, draw_phantom, load_bundle

SPEC = PreprocessingSpec(64, 64)


@pytest.fixture(scope="module")
def images():
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    return [SPEC.apply(draw_phantom(i, 0.3, 128).image) for i in range(4)] + [ramp]


@pytest.fixture(scope="module")
def model(tiny_model, images):
    return export_mediapipe(tiny_model, SPEC, images)


def run(model, pixels):
    """Probabilities of the classes, by the output's own scale."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=model).get_signature_runner("serve")
    levels = runner(image=np.repeat(pixels[None, ..., None], 3, -1))["classes"][0]
    assert levels.dtype == np.uint8
    scale, zero = runner.get_output_details()["classes"]["quantization"]
    return (levels.astype(np.float32) - zero) * scale


def test_classes_are_made_of_both_maps(tiny_model, model, images):
    classes = run(model, images[0])
    assert classes.shape == (64, 64, 3)
    maps = tiny_model.predict(images[0][None, ..., None] / 255, verbose=0)
    lung, infection = (maps[k][0, ..., 0] for k in ("lung", "infection"))
    expected = np.stack([1 - lung, lung * (1 - infection), lung * infection], -1)
    np.testing.assert_allclose(classes, expected, atol=0.06)
    np.testing.assert_allclose(classes.sum(-1), 1, atol=0.02)


def test_labels_lie_in_the_file(model):
    assert read_labels(model) == {"classes": list(LABELS)}


def test_metadata_does_not_change_a_result(tiny_bundle):
    data = load_bundle(tiny_bundle).model
    labels = {
        name: [name] for name in output_names(data)
    }  # one channel, one label each
    marked = add_metadata(data, "tiny", "A test.", labels, "Apache-2.0")
    assert add_metadata(marked, "tiny", "A test.", labels, "Apache-2.0") != data
    from ai_edge_litert.interpreter import Interpreter

    pixels = draw_phantom(1, 0.4, 64).image[None, ..., None]
    results = [
        Interpreter(model_content=x).get_signature_runner("serve")(image=pixels)
        for x in (data, marked)
    ]
    for flow in ("lung", "infection"):
        np.testing.assert_array_equal(results[0][flow], results[1][flow])
    names = [m.name for m in read_schema(marked).metadata]
    assert names.count(b"TFLITE_METADATA") == 1
    with pytest.raises(ValueError, match="a label per channel"):
        add_metadata(data, "tiny", "A test.", {"lung": ["a", "b"]})
    with pytest.raises(ValueError, match="holds no labels"):
        read_labels(data)


def output_names(data):
    graph = read_schema(data).subgraphs[0]
    return [graph.tensors[index].name.decode() for index in graph.outputs]


@pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None,
    reason="MediaPipe wants another absl-py than tensorflow-model-optimization: "
    "run this file in an environment of its own",
)
def test_mediapipe_runs_it_with_labels(model, images, tmp_path):
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    options = vision.ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_path=str(path)),
        output_confidence_masks=True,
        output_category_mask=True,
    )
    classes = run(model, images[0])
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        assert tuple(segmenter.labels) == LABELS
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB,
            data=np.repeat(images[0][..., None], 3, -1),
        )
        result = segmenter.segment(image)
        for channel, mask in enumerate(result.confidence_masks):
            np.testing.assert_allclose(
                np.squeeze(mask.numpy_view()), classes[..., channel], atol=1e-5
            )
