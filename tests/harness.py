"""One call that puts a layer, loss, metric or model through what Keras expects.

`check(cls, make_arguments)` covers: config against the signature, JSON round trip,
build, symbolic and eager call, float32, mixed_float16 and mixed_bfloat16, a training
step, XLA, `.keras` save and load with `safe_mode`, and TFLite. TensorFlow compiles the
step of float32 alone, half a minute each for the networks; JAX that of every policy.
"""

import inspect
import json
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
from keras import ops

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
SIZE, CHANNELS = 32, 4
# PyTorch has a compiler of its own, of minutes, which wants one of C++ beside it.
XLA = keras.backend.backend() != "torch"
# What every config holds beside our own arguments.
_BASE = {"name", "dtype", "trainable", "reduction"}


def check(cls, make_arguments=dict):
    """Raises `AssertionError` or what Keras raises if `cls` is no good citizen.

    Args:
        cls: Layer, loss, metric or model class of the package.
        make_arguments: Function that gives the constructor's arguments, best
            all other than default; called under each policy, so that a model
            among them follows it.
    """
    check_config(cls, make_arguments())
    for policy in POLICIES:
        keras.config.set_dtype_policy(policy)
        try:
            model, loss, metrics = _model_around(cls, make_arguments())
        finally:
            keras.config.set_dtype_policy("float32")
        _check_outputs(model)
        eager = policy != "float32" and keras.backend.backend() == "tensorflow"
        _check_training(model, loss, metrics, eager)
        if policy == "float32":
            again = _save_and_load(model)
            if keras.backend.backend() == "tensorflow":
                _check_tflite(again)


def check_config(cls, arguments):
    """The config holds exactly our arguments and survives JSON."""
    thing = cls(**arguments)
    config = thing.get_config()
    own = {
        name
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name != "self"
    } - _BASE
    assert set(config) - _BASE == own
    for name in set(arguments) - {"encoder"}:
        assert config[name] == arguments[name]
    text = json.dumps(keras.saving.serialize_keras_object(thing))
    again = keras.saving.deserialize_keras_object(json.loads(text), safe_mode=True)
    assert type(again) is cls
    again = keras.saving.serialize_keras_object(again)
    assert json.loads(json.dumps(again)) == json.loads(text)


def images():
    return np.random.default_rng(0).random((2, SIZE, SIZE, 1), dtype="float32")


def _model_around(cls, arguments):
    """Returns a model that uses the thing, a loss, and metrics."""
    loss, metrics = "mse", []
    if issubclass(cls, keras.Model):
        model = cls(**arguments)
        return model, loss, metrics
    inputs = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.Conv2D(CHANNELS, 3, strides=2, padding="same")(inputs)
    if issubclass(cls, keras.layers.Layer):
        x = cls(**arguments)([x, keras.layers.ReLU()(x)])  # build and symbolic call
    elif issubclass(cls, keras.losses.Loss):
        loss = cls(**arguments)
    else:
        metrics = [cls(**arguments)]
    x = keras.layers.Conv2D(1, 1, dtype="float32")(x)
    x = keras.layers.UpSampling2D(2, interpolation="bilinear", dtype="float32")(x)
    x = keras.layers.Activation("sigmoid", dtype="float32")(x)
    return keras.Model(inputs, x), loss, metrics


def _flat(outputs):
    return [
        ops.convert_to_numpy(ops.cast(x, "float32"))
        for x in keras.tree.flatten(outputs)
    ]


def _check_outputs(model):
    """Eager shapes are the symbolic ones, and every value is finite."""
    eager = model(images())
    for value, symbol in zip(
        keras.tree.flatten(eager), keras.tree.flatten(model.output), strict=True
    ):
        assert tuple(value.shape[1:]) == tuple(symbol.shape[1:])
        assert keras.backend.standardize_dtype(value.dtype) == symbol.dtype
    assert all(np.isfinite(value).all() for value in _flat(eager))
    assert all(
        keras.backend.standardize_dtype(w.dtype) in ("float32", "uint32", "int64")
        for w in model.weights
    )


def _check_training(model, loss, metrics, eager):
    """One step, compiled if not `eager`: finite, and some weight moves."""
    outputs = model(images())
    rng = np.random.default_rng(1)

    def mask_of(value):
        return (rng.random(value.shape) > 0.5).astype("float32")

    targets = keras.tree.map_structure(mask_of, outputs)
    compiling = {"run_eagerly": True} if eager else {"jit_compile": XLA}
    model.compile("sgd", loss=loss, metrics=metrics, **compiling)
    before = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    history = model.fit(images(), targets, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert any(
        not np.array_equal(old, ops.convert_to_numpy(new))
        for old, new in zip(before, model.trainable_variables, strict=True)
    )


def _save_and_load(model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        again = keras.saving.load_model(path, safe_mode=True)
    for one, other in zip(_flat(model(images())), _flat(again(images())), strict=True):
        np.testing.assert_array_equal(one, other)
    return again


def check_in_a_new_process(model, inputs, folder):
    """Saves the model; a fresh interpreter loads it and gives the same map."""
    path, x, y = (folder / name for name in ("m.keras", "x.npy", "y.npy"))
    model.save(path)
    np.save(x, inputs)
    np.save(y, ops.convert_to_numpy(model(inputs)["infection"]))
    code = (
        "import sys, numpy as np, keras, covseg_tf.models\n"
        "model = keras.saving.load_model(sys.argv[1], safe_mode=True)\n"
        "got = model(np.load(sys.argv[2]))['infection']\n"
        "np.testing.assert_allclose(got, np.load(sys.argv[3]), atol=1e-6)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, path, x, y], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]


def _check_tflite(model):
    """The float file gives what Keras gives, with built-in operations only."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec((1, *model.input.shape[1:]), tf.float32, name="image")]

    def serve(image):
        return dict(enumerate_outputs(model(image)))

    archive.add_endpoint("serve", serve, signature)
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serve"]
        )
        data = converter.convert()
    runner = Interpreter(model_content=data).get_signature_runner("serve")
    image = images()[:1]
    got = runner(image=image)
    for name, want in enumerate_outputs(model(image)):
        np.testing.assert_allclose(got[name], want, atol=1e-5)


def enumerate_outputs(outputs):
    """Pairs of a name and a tensor, whatever the structure."""
    return [(f"output_{i}", x) for i, x in enumerate(keras.tree.flatten(outputs))]
