import json

import numpy as np
import pytest

from covseg_tf.deploy import (
    check_parity,
    export_tflite,
    keras_predictor,
    tflite_predictor,
    write_bundle,
)
from covseg_tf.deploy.tflite import contents
from covseg_tf.deploy.tflite.contents import operator_names
from covseg_tf.edge import PreprocessingSpec, Segmenter, draw_phantom, load_bundle

SPEC = PreprocessingSpec(64, 64)


@pytest.fixture(scope="module")
def phantoms():
    return [draw_phantom(100 + i, 0.3, 64) for i in range(6)]


def test_integer_file_has_the_promised_interface(tiny_bundle):
    data = load_bundle(tiny_bundle).model
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data).get_signature_runner("serve")
    (image,) = runner.get_input_details().values()
    assert image["dtype"] == np.uint8
    assert image["shape"].tolist() == [1, 64, 64, 1]
    assert image["quantization"] == (pytest.approx(1 / 255, rel=1e-3), 0)
    outputs = runner.get_output_details()
    assert set(outputs) == {"lung", "infection"}
    for output in outputs.values():
        assert output["dtype"] == np.uint8
        assert output["quantization"] == (pytest.approx(1 / 256), 0)


def test_only_integer_builtins(tiny_bundle):
    data = load_bundle(tiny_bundle).model
    assert set(operator_names(data)) <= {
        "ADD",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "LOGISTIC",
        "MUL",
        "QUANTIZE",
        "RESIZE_BILINEAR",
    }
    # Nothing is computed in floating point: only uint8/int8/int32 tensors.
    from ai_edge_litert.interpreter import Interpreter

    tensors = Interpreter(model_content=data).get_tensor_details()
    assert {np.dtype(t["dtype"]).name for t in tensors} <= {"uint8", "int8", "int32"}


def planes(phantoms):
    images = [SPEC.apply(p.image) for p in phantoms]
    masks = {
        "lung": [p.lung_mask for p in phantoms],
        "infection": [p.infection_mask for p in phantoms],
    }
    return images, masks


def test_parity_with_keras(tiny_model, tiny_bundle, phantoms):
    images, masks = planes(phantoms)
    keras_model = keras_predictor(tiny_model, SPEC)
    artifact = tflite_predictor(load_bundle(tiny_bundle).model, SPEC)
    report = check_parity(keras_model, artifact, images, masks)
    for flow in ("lung", "infection"):
        assert report[flow].max_difference < 0.1
        assert 0 < report[flow].mean_difference < 0.02
        assert report[flow].images == 6
    # Against itself there is no difference at all.
    for parity in check_parity(artifact, artifact, images, masks).values():
        assert parity.max_difference == parity.dice_change == 0
    with pytest.raises(ValueError, match="as many masks as images"):
        check_parity(keras_model, artifact, [], {"lung": []})
    other = keras_predictor(tiny_model, PreprocessingSpec(64, 64, scale=1.0))
    with pytest.raises(ValueError, match="export it from this model"):
        check_parity(other, artifact, images, masks)


# Form, interface, weights' types in the file, largest difference to Keras.
FORMS = [
    ("float32", None, {"float32"}, 1e-5),
    ("float16", None, {"float16", "float32"}, 5e-3),
    # The converter leaves weights below 1024 numbers alone: all of this network's.
    ("dynamic_range", None, {"float32"}, 0.05),
    ("full_integer", "int8", {"int8", "int32"}, 0.1),
    ("full_integer", "float32", {"int8", "int32", "float32"}, 0.1),
]


@pytest.mark.parametrize(("quantize", "interface", "types", "bound"), FORMS)
def test_every_form_is_the_model(
    tiny_model, tiny_bundle, phantoms, quantize, interface, types, bound
):
    images, masks = planes(phantoms)
    calibration = images if quantize == "full_integer" else None
    if calibration:
        ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
        calibration = [*images, ramp]
    data = export_tflite(tiny_model, SPEC, calibration, quantize, interface)
    artifact = tflite_predictor(data, SPEC)
    for parity in check_parity(
        keras_predictor(tiny_model, SPEC), artifact, images, masks
    ).values():
        assert parity.max_difference < bound
    from ai_edge_litert.interpreter import Interpreter

    tensors = Interpreter(model_content=data).get_tensor_details()
    found = {np.dtype(t["dtype"]).name for t in tensors if t["shape"].size}
    assert found - {"int32"} == types - {"int32"}
    # The edge runtime takes every form: its levels are the probabilities times 256.
    levels = Segmenter.from_bytes(data, SPEC).run(images[0])
    for flow, values in artifact(images[0]).items():
        assert np.abs(levels[flow] / 256 - values).max() <= 1 / 512 + 1e-6


def test_a_resizable_batch(tiny_model, phantoms):
    from ai_edge_litert.interpreter import Interpreter

    data = export_tflite(tiny_model, SPEC, quantize="float32", batch_size=None)
    interpreter = Interpreter(model_content=data)
    (image,) = interpreter.get_input_details()
    assert image["shape_signature"].tolist() == [-1, 64, 64, 1]
    pixels = np.stack([SPEC.apply(p.image) for p in phantoms])[..., None] / 255
    interpreter.resize_tensor_input(image["index"], pixels.shape)
    outputs = interpreter.get_signature_runner("serve")(image=pixels.astype("float32"))
    expected = tiny_model.predict(pixels, verbose=0)
    for flow in ("lung", "infection"):
        np.testing.assert_allclose(outputs[flow], expected[flow], atol=1e-5)


def test_runtime_is_bit_exact_on_repeat_and_threads(tiny_bundle, phantoms):
    pixels = SPEC.apply(phantoms[0].image)
    first = Segmenter(tiny_bundle).run(pixels)
    second = Segmenter(tiny_bundle, threads=2).run(pixels)
    for flow in first:
        np.testing.assert_array_equal(first[flow], second[flow])


@pytest.mark.parametrize(
    ("spec", "images", "text"),
    [
        (PreprocessingSpec(32, 32), [], "takes images"),
        (SPEC, [], "Received: 0 images"),
        (SPEC, [np.zeros((64, 64), np.float32)], "must hold uint8"),
        (SPEC, [np.full((64, 64), 100, np.uint8)] * 2, "black .0. to white .255."),
    ],
)
def test_export_refuses(tiny_model, spec, images, text):
    with pytest.raises(ValueError, match=text):
        export_tflite(tiny_model, spec, images)


def test_the_guard_against_dead_tensors_reads_activations_alone(
    tiny_bundle, monkeypatch
):
    """A 32-bit bias has a tiny scale by nature; an 8-bit tensor must not."""
    from ai_edge_litert import schema_py_generated as schema

    data = load_bundle(tiny_bundle).model
    scales = {schema.TensorType.INT8: [], schema.TensorType.INT32: []}
    for tensor in contents.read_schema(data).subgraphs[0].tensors:
        scale = getattr(tensor.quantization, "scale", None)
        if tensor.type in scales and scale is not None and len(scale) == 1:
            scales[tensor.type].append(float(scale[0]))
    bias, activation = (
        min(scales[t]) for t in (schema.TensorType.INT32, schema.TensorType.INT8)
    )
    assert bias < activation
    monkeypatch.setattr(contents, "_SMALLEST_SCALE", (bias + activation) / 2)
    contents.check_tflite(data, SPEC)
    monkeypatch.setattr(contents, "_SMALLEST_SCALE", 1.01 * activation)
    with pytest.raises(ValueError, match="always zero"):
        contents.check_tflite(data, SPEC)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"quantize": "int4"}, "must be one of float32, float16"),
        ({"quantize": "float16", "interface": "uint8"}, "unless `quantize` is"),
        ({"interface": "float64"}, "Received: 'float64'"),
        ({"batch_size": 0}, "at least 1, or None"),
    ],
)
def test_export_refuses_words(tiny_model, words, text):
    with pytest.raises(ValueError, match=text):
        export_tflite(tiny_model, SPEC, **words)


def test_export_needs_both_flows():
    from covseg_tf.models import DualFlowSegmenter, EdgeEncoder

    encoder = EdgeEncoder((64, 64, 1), 4, (4, 4), (0, 0))
    model = DualFlowSegmenter(encoder, attention="self", lung_supervision=False)
    with pytest.raises(ValueError, match=r"Received: \['infection'\]"):
        export_tflite(model, SPEC, [])


def test_bundle_is_never_overwritten(tiny_bundle):
    with pytest.raises(ValueError, match="not overwritten"):
        write_bundle(tiny_bundle, b"", SPEC, {}, "")
    assert load_bundle(tiny_bundle).name == "tiny"


def test_an_output_that_is_no_sigmoid_is_refused(tiny_model, phantoms):
    """Its integers would not be probability times 256, and a device would not know."""
    import keras

    lung, infection = tiny_model.output["lung"], tiny_model.output["infection"]
    product = keras.ops.multiply(lung, infection)
    model = keras.Model(tiny_model.input, {"lung": lung, "infection": product})
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    calibration = [SPEC.apply(phantoms[0].image), ramp]
    with pytest.raises(ValueError, match="output infection must be a probability"):
        export_tflite(model, SPEC, calibration)


def test_the_runtime_refuses_other_levels(tiny_bundle, monkeypatch):
    """The same for a file that came by another way."""
    from covseg_tf.edge import segmenter

    check = segmenter._has_scale
    monkeypatch.setattr(segmenter, "_has_scale", lambda t, s: check(t, 1.01 * s))
    with pytest.raises(ValueError, match="probability times 256"):
        Segmenter(tiny_bundle)


def copy(bundle, folder):
    folder.mkdir()
    for path in bundle.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize(
    "name", ["model.tflite", "MODEL_CARD.md", "LICENSE", "bundle.json"]
)
def test_one_flipped_bit_is_noticed(tiny_bundle, tmp_path, name):
    folder = copy(tiny_bundle, tmp_path / "damaged")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match="checksum does not match|unreadable"):
        load_bundle(folder)


def test_missing_file_and_unknown_format(tiny_bundle, tmp_path):
    folder = copy(tiny_bundle, tmp_path / "missing")
    (folder / "model.tflite").unlink()
    with pytest.raises(ValueError, match="No such file"):
        load_bundle(folder)

    from covseg_tf.edge.bundle import manifest_digest

    folder = copy(tiny_bundle, tmp_path / "no_licence")
    manifest = json.loads((folder / "bundle.json").read_text())
    del manifest["files"]["LICENSE"]
    manifest["sha256"] = manifest_digest(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="lists no LICENSE"):
        load_bundle(folder)

    folder = copy(tiny_bundle, tmp_path / "future")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["format_version"] = 2
    manifest["sha256"] = manifest_digest(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="version 2 is not read here"):
        load_bundle(folder)
    with pytest.raises(ValueError, match="no such model"):
        load_bundle(tmp_path)


def test_segmenter_refuses_what_it_cannot_run(tiny_bundle):
    segmenter = Segmenter(tiny_bundle)
    with pytest.raises(ValueError, match="Expected uint8 pixels"):
        segmenter.run(np.zeros((32, 64), np.uint8))
    with pytest.raises(ValueError, match="at least 1"):
        Segmenter(tiny_bundle, threads=0)
    data = load_bundle(tiny_bundle).model
    with pytest.raises(ValueError, match="must take and give uint8, int8"):
        Segmenter.from_bytes(data, PreprocessingSpec(32, 32))
    with pytest.raises(ValueError, match="no TFLite file"):
        Segmenter.from_bytes(b"no model" * 100, SPEC)
