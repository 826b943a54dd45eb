"""Shared fixtures: the real images where they are, phantoms everywhere."""

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

ROOT = pathlib.Path(__file__).resolve().parents[1]


def data_root() -> pathlib.Path:
    return pathlib.Path(os.environ.get("COVSEG_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items):
    folder = data_root()
    if not folder.is_dir():
        skip = pytest.mark.skip(reason=f"no real images at {folder} (set COVSEG_DATA)")
        for item in items:
            if item.get_closest_marker("data"):  # keywords hold parameter ids too
                item.add_marker(skip)


@pytest.fixture(scope="session")
def covid_qu_ex():
    return data_root() / "covid_qu_ex"


@pytest.fixture(scope="session")
def phantom_data(tmp_path_factory):
    from covseg_tf.data import write_phantom_data

    return write_phantom_data(tmp_path_factory.mktemp("phantoms") / "data", 4, 128)


@pytest.fixture(scope="session")
def tiny_model():
    """An untrained network of the product's form, 64x64, with live statistics."""
    import keras
    import numpy as np

    from covseg_tf.models import DualFlowSegmenter, EdgeEncoder

    keras.utils.set_random_seed(0)
    model = DualFlowSegmenter(
        EdgeEncoder((64, 64, 1), stem_filters=4, filters=(4, 6, 8), depths=(1, 0, 0)),
        decoder_filters=(6, 4),
        separable=True,
    )
    rng = np.random.default_rng(0)
    for _ in range(80):  # moving statistics that fit the activations
        model(rng.random((4, 64, 64, 1), dtype="float32"), training=True)
    return model


@pytest.fixture(scope="session")
def tiny_bundle(tiny_model, tmp_path_factory):
    import numpy as np

    from covseg_tf.deploy import export_tflite, write_bundle
    from covseg_tf.edge import PreprocessingSpec, draw_phantom

    spec = PreprocessingSpec(64, 64)
    images = [spec.apply(draw_phantom(i, 0.3, 128).image) for i in range(4)]
    images.append(np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8))
    return write_bundle(
        tmp_path_factory.mktemp("bundles") / "tiny",
        export_tflite(tiny_model, spec, images),
        spec,
        metrics={},
        model_card="# tiny\n",
    )


@pytest.fixture(scope="session")
def tiny_servable(tiny_model, tmp_path_factory):
    """Folder of version 1 of the tiny network as a SavedModel."""
    from covseg_tf.deploy import export_saved_model
    from covseg_tf.edge import PreprocessingSpec

    base = tmp_path_factory.mktemp("servables") / "tiny"
    return export_saved_model(tiny_model, PreprocessingSpec(64, 64), base)
