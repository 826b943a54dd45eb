"""The servable: three signatures, guarded, equal to Keras in Python and C++."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from covseg_tf.deploy import export_saved_model, write_models_config
from covseg_tf.deploy.saved_model.cpp_session import CppSession
from covseg_tf.deploy.saved_model.graph_preprocessing import MOST_PIXELS, decode_images
from covseg_tf.edge import PreprocessingSpec, draw_phantom

SPEC = PreprocessingSpec(64, 64)
NAMES = {"lung", "infection", "involved_percent", "lung_percent"}


@pytest.fixture(scope="module")
def loaded(tiny_servable):
    return tf.saved_model.load(str(tiny_servable))


@pytest.fixture(scope="module")
def session(tiny_servable):
    session = CppSession(tiny_servable)
    yield session
    session.close()


@pytest.fixture(scope="module")
def images():
    pixels = [SPEC.apply(draw_phantom(i, 0.4, 128).image) for i in range(3)]
    return np.stack(pixels)[..., None].astype(np.float32) / 255


def encode(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def test_the_folder_is_what_tf_serving_watches(tiny_servable):
    assert tiny_servable.name == "1"
    assert {p.name for p in tiny_servable.parent.iterdir()} == {"1"}
    parts = {"saved_model.pb", "variables", "fingerprint.pb", "assets.extra"}
    assert parts <= {p.name for p in tiny_servable.iterdir()}


def test_signatures_have_names_and_a_free_batch(loaded):
    assert set(loaded.signatures) == {
        "serving_default",
        "encoded_image",
        "encoded_image_to_png",
    }
    float_inputs = loaded.signatures["serving_default"].structured_input_signature[1]
    assert float_inputs["image"].shape.as_list() == [None, 64, 64, 1]
    for name in ("serving_default", "encoded_image"):
        assert set(loaded.signatures[name].structured_outputs) == NAMES
    outputs = loaded.signatures["encoded_image_to_png"].structured_outputs
    # TF Serving encodes as base64 only what ends in _bytes.
    assert {k for k, v in outputs.items() if v.dtype == tf.string} == {
        "lung_png_bytes",
        "infection_png_bytes",
    }


@pytest.mark.parametrize("loader", ["python", "cpp"])
def test_equal_to_keras(tiny_model, session, loaded, images, loader):
    expected = tiny_model.predict(images, verbose=0)
    if loader == "python":
        found = loaded.signatures["serving_default"](image=tf.constant(images))
        found = {name: value.numpy() for name, value in found.items()}
    else:
        found = session.run({"image": images}, tuple(NAMES))
    for flow in ("lung", "infection"):
        np.testing.assert_allclose(found[flow], expected[flow], atol=1e-6)
    lung, infection = expected["lung"] > 0.5, expected["infection"] > 0.5
    for i in range(len(images)):
        share = 100 * np.mean(lung[i])
        assert found["lung_percent"][i] == pytest.approx(share, abs=1e-4)
        percent = 100 * np.sum(lung[i] & infection[i]) / np.sum(lung[i])
        assert found["involved_percent"][i] == pytest.approx(percent, abs=1e-4)


def test_no_lung_gives_no_number(tiny_model, tmp_path):
    """A share of nothing is NaN, not zero."""
    path = export_saved_model(
        tiny_model, SPEC, tmp_path / "m", threshold=0.999999, warm_up=False
    )
    assert not (path / "assets.extra").exists()
    found = CppSession(path).run(
        {"image": np.zeros((1, 64, 64, 1))}, ("involved_percent", "lung_percent")
    )
    assert np.isnan(found["involved_percent"][0])
    assert found["lung_percent"][0] == 0


SHAPES = [(64, 64), (200, 150), (300, 90), (40, 50), (64, 64, 3), (97, 131, 3)]


@pytest.mark.parametrize("shape", [*SHAPES, (97, 131, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_graph_prepares_images_as_opencv_does(shape, dtype):
    rng = np.random.default_rng(sum(shape))
    top = np.iinfo(dtype).max
    image = rng.integers(0, top, shape, dtype, endpoint=True)
    data = encode(image)
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    expected = SPEC.apply(cv2.imdecode(np.frombuffer(data, np.uint8), flags))
    found = decode_images(tf.constant([data]), SPEC).numpy()[0]
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    if shape == (64, 64) and dtype == np.uint8:
        assert difference.max() == 0


def test_jpeg_and_mixed_sizes_in_one_batch(loaded, images):
    phantom = draw_phantom(7, 0.4, 128).image
    colour = cv2.cvtColor(phantom, cv2.COLOR_GRAY2BGR)
    files = [encode(phantom), encode(colour, ".jpg"), encode(phantom[:100])]
    found = loaded.signatures["encoded_image"](image_bytes=tf.constant(files))
    found = {name: value.numpy() for name, value in found.items()}
    assert found["lung"].shape == (3, 64, 64, 1)
    alone = loaded.signatures["encoded_image"](image_bytes=tf.constant(files[:1]))
    np.testing.assert_allclose(found["lung"][:1], alone["lung"], atol=1e-6)
    assert np.abs(found["lung"][1] - found["lung"][0]).max() < 0.05


def test_png_outputs_are_the_maps(loaded):
    files = tf.constant([encode(draw_phantom(1, 0.4, 128).image)])
    maps = loaded.signatures["encoded_image"](image_bytes=files)
    pngs = loaded.signatures["encoded_image_to_png"](image_bytes=files)
    for flow in ("lung", "infection"):
        data = np.frombuffer(pngs[f"{flow}_png_bytes"].numpy()[0], np.uint8)
        levels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(
            levels, np.rint(maps[flow][0, :, :, 0].numpy() * 255).astype(np.uint8)
        )


PNG = encode(draw_phantom(0, 0.3, 128).image)
BOMB = PNG[:16] + (60000).to_bytes(4, "big") * 2 + PNG[24:]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "whole PNG or JPEG"),
        (b"GIF89a" + bytes(64), "whole PNG or JPEG"),
        (PNG[:20], "whole PNG or JPEG"),
        (PNG[: len(PNG) // 2], "Invalid PNG"),
        (encode(draw_phantom(0, 0.3, 128).image, ".jpg")[:900], "Invalid JPEG"),
        (BOMB, f"1 to {MOST_PIXELS} pixels"),
    ],
)
def test_bad_files_are_refused(loaded, data, text):
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        loaded.signatures["encoded_image"](image_bytes=tf.constant([data]))


@pytest.mark.parametrize(
    ("shape", "value", "text"),
    [
        ((64, 64), 0, "not compatible with expected shape"),
        ((1, 64, 64), 0, "not compatible with expected shape"),
        ((1, 64, 64, 3), 0, "not compatible with expected shape"),
        ((1, 32, 64, 1), 0, "not compatible with expected shape"),
        ((0, 64, 64, 1), 0, "at least one image"),
        ((1, 64, 64, 1), 255, "divide grey levels by 255"),
        ((1, 64, 64, 1), np.nan, "must be finite"),
    ],
)
def test_the_cpp_session_refuses_and_lives(session, shape, value, text):
    """A wrong rank would end the process (exit 134) without `ensure_shape`."""
    with pytest.raises(ValueError, match=text):
        session.run({"image": np.full(shape, value, np.float32)}, ("lung",))
    good = session.run({"image": np.zeros((1, 64, 64, 1))}, ("lung",))
    assert good["lung"].shape == (1, 64, 64, 1)


def test_cpp_session_refuses_what_is_no_model(tmp_path, tiny_servable):
    with pytest.raises(ValueError, match="Could not find SavedModel"):
        CppSession(tmp_path)
    with pytest.raises(
        ValueError, match="has no signature 'x'. It has: .*encoded_image"
    ):
        CppSession(tiny_servable, "x")


def test_warm_up_records_run_through_their_signatures(tiny_servable, loaded):
    from tensorflow_serving.apis import prediction_log_pb2

    path = tiny_servable / "assets.extra" / "tf_serving_warmup_requests"
    seen = set()
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "tiny"
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        name = request.model_spec.signature_name
        serve = loaded.signatures[name]
        outputs = serve(**{k: tf.constant(v) for k, v in inputs.items()})
        assert outputs["lung_percent"].shape == (1,)
        seen.add(name)
    assert seen == set(loaded.signatures)


def test_models_config_is_read_back(tmp_path):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    labels = {"stable": 1, "canary": 2}
    path = write_models_config(
        tmp_path / "models.config", "xray", "/models/xray", (1, 2), labels
    )
    document = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(path.read_text(), document)
    (config,) = document.model_config_list.config
    assert (config.name, config.base_path) == ("xray", "/models/xray")
    assert list(config.model_version_policy.specific.versions) == [1, 2]
    assert dict(config.version_labels) == labels
    with pytest.raises(ValueError, match="not overwritten"):
        write_models_config(path, "xray", "/models/xray")
    with pytest.raises(ValueError, match=r"add \[3\] to `versions`"):
        write_models_config(tmp_path / "b", "x", "/x", (1,), {"stable": 3})


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"version": 1}, "exists and is not overwritten"),
        ({"version": 0}, "at least 1"),
        ({"threshold": 1.0}, r"in \(0, 1\)"),
        ({"version": 2, "spec": PreprocessingSpec(32, 32)}, "takes images"),
    ],
)
def test_refuses_and_leaves_nothing(tiny_model, tiny_servable, words, text):
    base = tiny_servable.parent
    words = {"spec": SPEC, "version": 2} | words
    with pytest.raises(ValueError, match=text):
        export_saved_model(tiny_model, folder=base, **words)
    assert {p.name for p in base.iterdir()} == {"1"}
