"""What a Keras researcher does with the parts, on every backend."""

import importlib
import inspect

import keras
import numpy as np
import pytest
from keras import ops

from covseg_tf import layers
from covseg_tf.layers import AnnotatorStyle, RegionFusionAttention
from covseg_tf.losses import CombinedSegmentationLoss, PresenceLoss, SoftIoULoss
from covseg_tf.metrics import DiceScore, MeanAbsoluteError
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder, EfficientNetLiteEncoder

pytestmark = pytest.mark.backend
PACKAGES = ["layers", "losses", "metrics", "models"]
if keras.backend.backend() == "tensorflow":
    PACKAGES += ["data", "training", "deploy", "edge"]
IMAGES = np.random.default_rng(0).random((2, 16, 16, 1), dtype="float32")
MASKS = {
    "lung": (IMAGES > 0.4).astype("float32"),
    "infection": (IMAGES > 0.7).astype("float32"),
}
FEATURES = IMAGES.repeat(4, axis=-1)


def small(side=16, **arguments):
    encoder = EdgeEncoder((side, side, 1), 4, (4, 4), (0, 0))
    return DualFlowSegmenter(encoder, separable=True, **arguments)


def trained_loss(masks, model=None, **arguments):
    """The loss of one step from the same weights."""
    keras.utils.set_random_seed(0)
    model = model or small()
    model.compile("sgd", CombinedSegmentationLoss(), run_eagerly=True)
    return model.evaluate(IMAGES, masks, verbose=0, **arguments)


def with_keywords():
    """What is public and takes `**kwargs`; Python itself refuses for the rest."""
    for package in PACKAGES:
        module = importlib.import_module(f"covseg_tf.{package}")
        for name in module.__all__:
            thing = getattr(module, name)
            parameters = inspect.signature(thing).parameters if callable(thing) else {}
            if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                yield pytest.param(thing, id=name)


@pytest.mark.parametrize("thing", list(with_keywords()))
def test_unknown_keywords_are_refused(thing):
    needed = {"student": small, "teacher": small}
    parameters = inspect.signature(thing).parameters
    arguments = {name: make() for name, make in needed.items() if name in parameters}
    with pytest.raises((TypeError, ValueError), match="nonsense"):
        thing(**arguments, nonsense=3)


@pytest.mark.parametrize("encoder", [EdgeEncoder, EfficientNetLiteEncoder])
def test_encoders_refuse_unknown_keywords(encoder):
    with pytest.raises(TypeError, match="nonsense"):
        encoder((32, 32, 1), nonsense=3)


def test_a_preset_refuses_unknown_keywords():
    with pytest.raises(TypeError, match="nonsense"):
        DualFlowSegmenter.from_preset("xray_nano", (32, 32, 1), nonsense=3)


# === The layer ===


def test_two_positional_inputs_a_list_and_a_dict_are_one_call():
    layer = RegionFusionAttention(dilation_rates=np.array([1, 2]))
    want = ops.convert_to_numpy(layer([FEATURES, FEATURES[..., :3]]))
    named = {"lung_features": FEATURES, "infection_features": FEATURES[..., :3]}
    for got in (layer(FEATURES, FEATURES[..., :3]), layer(named)):
        np.testing.assert_array_equal(ops.convert_to_numpy(got), want)
    lung, infection = keras.Input((8, 8, 4)), keras.Input((8, 8, 3))
    fresh = RegionFusionAttention()
    assert fresh(lung, infection).shape == (None, 8, 8, 3)
    assert all(type(rate) is int for rate in layer.get_config()["dilation_rates"])


def test_the_layer_built_twice_has_its_weights_once():
    layer = RegionFusionAttention()
    shapes = [(None, 8, 8, 4)] * 2
    layer.build(shapes)
    before = [id(weight) for weight in layer.weights]
    layer.build(shapes)
    assert [id(weight) for weight in layer.weights] == before


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_the_layer_takes_integers(dtype):
    layer, features = RegionFusionAttention(), (FEATURES * 9).astype(dtype)
    got = ops.convert_to_numpy(layer([features, features]))
    want = layer([features.astype("float32"), features.astype("float32")])
    np.testing.assert_allclose(got, ops.convert_to_numpy(want), rtol=1e-5)


def test_initializers_and_regularizers_reach_every_kernel():
    layer = RegionFusionAttention(
        (1, 2), kernel_initializer="zeros", kernel_regularizer=keras.regularizers.L2(1)
    )
    layer([FEATURES, FEATURES])
    kernels = [w for w in layer.trainable_weights if w.path.endswith("kernel")]
    assert len(kernels) == 4
    assert not any(ops.convert_to_numpy(kernel).any() for kernel in kernels)
    for kernel in kernels:
        kernel.assign(np.ones(kernel.shape))
    assert float(sum(layer.losses)) == sum(np.prod(kernel.shape) for kernel in kernels)
    again = RegionFusionAttention.from_config(layer.get_config())
    assert isinstance(again.kernel_regularizer, keras.regularizers.L2)


# Arguments of Keras' own layer test, for each public layer.
FUSION = {
    "input_shape": {
        "inputs_shape": (2, 8, 8, 3),
        "infection_features_shape": (2, 8, 8, 4),
    },
    "expected_output_shape": (2, 8, 8, 4),
    "expected_num_non_trainable_weights": 4,
    # It gives a dict of inputs whole to a layer that takes them by name; the
    # harness of test_citizenship.py trains.
    "run_training_check": False,
}
LAYERS = {
    # Two gates of kernel and bias; of two branches each a kernel and two of its norm.
    "RegionFusionAttention": FUSION
    | {
        "init_kwargs": {"dilation_rates": (1, 2)},
        "expected_num_trainable_weights": 10,
    },
    "RegionFusionAttention, separable": FUSION
    | {
        "init_kwargs": {"dilation_rates": (1, 2), "separable": True},
        "expected_num_trainable_weights": 12,
    },
    "AnnotatorStyle": {
        "init_kwargs": {"scale": 2.0, "offset": -1.0},
        "input_shape": (2, 8, 8, 1),
        "expected_output_shape": (2, 8, 8, 1),
        "expected_num_trainable_weights": 2,
        "expected_num_non_trainable_weights": 0,
        # Probabilities are float32 under every policy: half precision has no 0.9999.
        "run_mixed_precision_check": False,
    },
}


@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")  # its own
@pytest.mark.parametrize("name", LAYERS)
def test_keras_own_layer_test(name):
    from keras.src import testing

    testing.TestCase().run_layer_test(
        getattr(layers, name.partition(",")[0]),
        expected_num_seed_generators=0,
        expected_num_losses=0,
        supports_masking=False,
        **LAYERS[name],
    )


def test_every_public_layer_has_keras_own_test():
    assert {name.partition(",")[0] for name in LAYERS} == set(layers.__all__)


def test_a_style_gives_probabilities_in_float32_under_half_precision():
    style = AnnotatorStyle(scale=2.0, offset=-1.0, dtype="mixed_float16")
    got = style(np.array([[5.0]], "float16"))
    assert keras.backend.standardize_dtype(got.dtype) == "float32"
    # 1 / (1 + exp(-9)); the nearest float16 is 1 or 0.9995.
    want = pytest.approx([0.999876605], abs=1e-6)
    assert ops.convert_to_numpy(got).ravel() == want


# === The network ===


def test_a_step_of_one_image_and_one_with_a_scaled_loss():
    model = small()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
    model.compile(optimizer, CombinedSegmentationLoss())
    one = {flow: masks[:1] for flow, masks in MASKS.items()}
    before = ops.convert_to_numpy(model.trainable_variables[0])
    logs = model.train_on_batch(IMAGES[:1], one, return_dict=True)
    assert np.isfinite(float(logs["loss"]))
    after = ops.convert_to_numpy(model.trainable_variables[0])
    assert not np.array_equal(before, after)


def test_rematerialization_gives_the_same_maps():
    with keras.RematScope(mode="full"):
        model = small()
    plain = small()
    plain.set_weights(model.get_weights())
    for flow, value in model(IMAGES).items():
        want = ops.convert_to_numpy(plain(IMAGES)[flow])
        np.testing.assert_allclose(ops.convert_to_numpy(value), want, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`:UserWarning")
def test_quantize_int8_of_keras():
    model = small()
    before = {k: ops.convert_to_numpy(v) for k, v in model(IMAGES).items()}
    model.quantize("int8")
    for flow, value in model(IMAGES).items():
        np.testing.assert_allclose(ops.convert_to_numpy(value), before[flow], atol=0.1)


def test_a_frozen_encoder_stays_frozen():
    encoder = EdgeEncoder((16, 16, 1), 4, (4, 4), (0, 0))
    encoder.trainable = False
    model = DualFlowSegmenter(encoder)
    free = {id(weight) for weight in model.trainable_weights}
    assert free
    assert not free & {id(weight) for weight in encoder.weights}
    assert not DualFlowSegmenter(encoder, trainable=False).trainable_weights


def test_clone_has_the_same_form_and_its_own_weights():
    model = small(side_outputs=("presence",))
    clone = keras.models.clone_model(model)
    assert clone.output_names == model.output_names
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(clone(IMAGES)["lung"]),
        ops.convert_to_numpy(model(IMAGES)["lung"]),
        atol=1e-6,
    )


def test_weights_in_an_h5_file(tmp_path):
    model, other = small(), small()
    model.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="wants onnxscript")
def test_onnx_export_of_a_loaded_model(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    small().save(tmp_path / "a.keras")
    model = keras.models.load_model(tmp_path / "a.keras")
    model.export(tmp_path / "a.onnx", format="onnx", verbose=False)
    session = runtime.InferenceSession(tmp_path / "a.onnx")
    got = session.run(None, {session.get_inputs()[0].name: IMAGES})
    want = keras.tree.flatten(model(IMAGES))
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, ops.convert_to_numpy(other), atol=1e-4)


# === Masks and weights ===


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: mask[..., 0],
        lambda mask: mask > 0,
        lambda mask: mask.astype("uint8"),
        lambda mask: (mask * 255).astype("uint8"),
        lambda mask: mask.astype("int64")[..., 0],
    ],
    ids=["without axis", "bool", "0 and 1", "0 and 255", "integers without axis"],
)
def test_masks_as_people_have_them_give_the_same_loss(change):
    changed = {flow: change(mask) for flow, mask in MASKS.items()}
    assert trained_loss(changed) == pytest.approx(trained_loss(MASKS), rel=1e-5)


def test_a_patient_id_among_the_masks_changes_nothing():
    with_id = MASKS | {"patient": np.array([7, 8])}
    assert trained_loss(with_id) == pytest.approx(trained_loss(MASKS), rel=1e-6)


def test_one_tensor_is_enough_for_a_network_of_one_flow():
    keras.utils.set_random_seed(0)
    model = small(lung_supervision=False, side_outputs=("scales",))
    alone = trained_loss(MASKS["infection"], model)
    assert alone == pytest.approx(trained_loss(MASKS, model), rel=1e-6)
    with pytest.raises(ValueError, match="masks are a dict with these keys"):
        trained_loss(MASKS["infection"])


def test_sample_weights_are_one_number_an_image():
    zeroed = trained_loss(MASKS, sample_weight=np.array([0.0, 0.0]))
    assert zeroed == [0, 0, 0] or zeroed == 0
    maps = {flow: np.ones((2, 16, 16), "float32") for flow in MASKS}
    with pytest.raises(
        ValueError, match="is one number an image, and so is its weight"
    ):
        trained_loss(MASKS, sample_weight=maps)


def test_floats_outside_the_range_never_give_a_number():
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]. Received for 'lung'"):
        trained_loss(MASKS | {"lung": MASKS["lung"] * 255})
    loss = SoftIoULoss()(MASKS["lung"] * 255, MASKS["lung"])
    assert np.isnan(float(loss))
    assert float(SoftIoULoss()(MASKS["lung"], MASKS["lung"])) < 1e-6
    assert float(PresenceLoss()(MASKS["lung"] * 255, MASKS["lung"])) < 1e-6


@pytest.mark.parametrize("which", ["images", "lung"])
def test_nan_is_named(which):
    bad = IMAGES.copy()
    bad[1, 2, 3] = np.nan
    x, y = (bad, MASKS) if which == "images" else (IMAGES, MASKS | {"lung": bad})
    model = small()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=f"'{which}' holds NaN .* number 1"):
        model.fit(x, y, verbose=0)


def test_a_list_of_metrics_goes_to_each_flow_and_has_a_direction(eagerly):
    model = small()
    model.compile("sgd", "mse", metrics=[DiceScore(), MeanAbsoluteError()])
    stop = keras.callbacks.EarlyStopping("val_infection_dice", patience=0)
    lower = keras.callbacks.EarlyStopping("val_lung_mae", patience=9)
    logs = model.fit(
        IMAGES,
        MASKS,
        validation_data=(IMAGES, MASKS),
        epochs=2,
        callbacks=[stop, lower],
        verbose=0,
    ).history
    assert {"lung_dice", "infection_dice", "val_lung_mae"} <= set(logs)
    assert stop.monitor_op(2, 1)
    assert lower.monitor_op(1, 2)
    assert not any("directions" in name for name in logs)


def test_class_weights_are_refused_with_the_way():
    model = small()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="loss_weights=.*finding_weights"):
        model.fit(IMAGES, MASKS, class_weight={0: 1.0, 1: 2.0}, verbose=0)


# === Errors in our words first ===


@pytest.mark.parametrize("use", ["call", "predict", "fit"])
@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.zeros((2, 16, 16, 3), "float32"), "Images must have the shape"),
        (np.zeros((2, 16, 16), "float32"), "Images must have the shape"),
        (np.zeros((2, 24, 16, 1), "float32"), "takes images of 16 pixels"),
        (np.zeros((2, 16, 16, 1), "uint8"), "Images must be floats .* / 255. Rec"),
    ],
    ids=["colour", "no channels", "size", "bytes"],
)
def test_wrong_images_are_named_in_the_first_line(use, images, text):
    model = small()
    model.compile("sgd", "mse")
    uses = {
        "call": lambda: model(images),
        "predict": lambda: model.predict(images, verbose=0),
        "fit": lambda: model.fit(images, MASKS, verbose=0),
    }
    with pytest.raises(ValueError, match=f"^(This network )?{text}"):
        uses[use]()
