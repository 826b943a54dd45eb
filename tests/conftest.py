"""Shared fixtures: the real images where they are, phantoms everywhere."""

import os
import pathlib
import warnings

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# What XLA compiles here runs once or twice: its optimizer takes longer than it saves.
# The processes that tests start inherit both.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # a test process per core

ROOT = pathlib.Path(__file__).resolve().parents[1]


def data_root() -> pathlib.Path:
    return pathlib.Path(os.environ.get("COVSEG_DATA", ROOT.parent / "shared" / "data"))


# The longest first, so that no process is left alone with one at the end.
LONGEST = (
    "test_citizen_models",
    "test_recipes",
    "test_recipes_ct",
    "test_multi_worker",
    "test_recipe_ablation",
    "test_recipe_xray",
    "test_recipe_fine_tune",
    "test_citizenship",
    "test_notebooks",
    "test_quantization_aware",
    "test_compression",
    "test_mixed_precision",
    "test_browser",
    "test_firefox",
    "test_docs",
    "test_distillation",
    "test_recipes_co_era_net",
    "test_export_commands",
    "test_twin",
    "test_saved_model",
)


def pytest_collection_modifyitems(items):
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
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
def phantom_slices(tmp_path_factory):
    """A folder with a manifest, as of CT slices: three splits, two patients each."""
    import cv2

    from covseg_tf.edge import draw_phantom

    root = tmp_path_factory.mktemp("slices")
    rows = ["name,split,patient"]
    for part in ("train", "validation", "test"):
        for index in range(10):
            name = f"{part}_{index}"
            rows.append(f"{name},{part},{part}_{index % 2}")
            phantom = draw_phantom(len(rows), 0.4, 64)
            for folder, plane in (
                ("images", phantom.image),
                ("lung_masks", phantom.lung_mask.astype("uint8") * 255),
                ("infection_masks", phantom.infection_mask.astype("uint8") * 255),
            ):
                path = root / folder / f"{name}.png"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(cv2.imencode(".png", plane)[1].tobytes())
    (root / "manifest.csv").write_text("\n".join(rows))
    return root


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
        name="tiny",
    )
    rng = np.random.default_rng(0)
    for _ in range(80):  # moving statistics that fit the activations
        model(rng.random((4, 64, 64, 1), dtype="float32"), training=True)
    _FIRST_WEIGHTS[model] = model.get_weights()
    return model


_FIRST_WEIGHTS: dict = {}


@pytest.fixture
def eagerly():
    """A few steps on TensorFlow take a second, tracing one takes twenty."""
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    warnings.filterwarnings("ignore", "Even though the `tf.config", UserWarning)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(autouse=True, scope="module")
def tiny_model_stays_as_it_was():
    """What one file trains, prunes or clusters is not what the next one gets."""
    yield
    for model, weights in _FIRST_WEIGHTS.items():
        model.set_weights(weights)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a folder by the first test process that asks; the others wait for it."""
    import fcntl

    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name, make):
        folder = base / "made_once" / name
        done = folder.with_suffix(".made")
        folder.parent.mkdir(exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_bundle(request, once):
    import numpy as np

    from covseg_tf.deploy import export_tflite, write_bundle
    from covseg_tf.edge import PreprocessingSpec, draw_phantom

    def make(folder):
        spec = PreprocessingSpec(64, 64)
        images = [spec.apply(draw_phantom(i, 0.3, 128).image) for i in range(4)]
        images.append(np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8))
        model = request.getfixturevalue("tiny_model")
        file = export_tflite(model, spec, images)
        write_bundle(folder, file, spec, metrics={}, model_card="# tiny\n")

    return once("tiny", make)


@pytest.fixture(scope="session")
def tiny_servable(request, once):
    """Folder of version 1 of the tiny network as a SavedModel."""

    def make(folder):
        from covseg_tf.deploy import export_saved_model
        from covseg_tf.edge import PreprocessingSpec

        model = request.getfixturevalue("tiny_model")
        export_saved_model(model, PreprocessingSpec(64, 64), folder / "tiny")

    return once("servables", make) / "tiny" / "1"
