"""Quantization-aware training, on a tiny network and phantoms."""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest

# Not importorskip: the import would set TF_USE_LEGACY_KERAS for all other tests.
if importlib.util.find_spec("tensorflow_model_optimization") is None:
    pytest.skip("needs covseg-tf[quant]", allow_module_level=True)

from covseg_tf.deploy.optimization.fake_quantization import (
    fix_input_range,
    quantize_network,
    set_ranges,
)
from covseg_tf.deploy.optimization.fine_tuning import training_batches
from covseg_tf.deploy.optimization.quantization_aware import train_quantization_aware
from covseg_tf.deploy.optimization.twin import tf_keras_twin
from covseg_tf.deploy.tflite.contents import operator_names
from covseg_tf.edge import PreprocessingSpec, Segmenter, draw_phantom
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder

SPEC = PreprocessingSpec(64, 64)
COMMAND = pathlib.Path(__file__).parents[1] / "export" / "quantization_aware.py"


@pytest.fixture(scope="module")
def batches(phantom_data):
    return training_batches(phantom_data, SPEC, batch_size=4)


@pytest.fixture(scope="module")
def before(tiny_model):
    return tiny_model.get_weights()


@pytest.fixture(scope="module")
def result(tiny_model, batches, before):
    return train_quantization_aware(
        tiny_model, SPEC, batches, epochs=2, learning_rate=1e-3, teacher_share=0.5
    )


def test_file_is_integer_and_has_the_promised_interface(result):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=result.tflite)
    kinds = {np.dtype(t["dtype"]).name for t in interpreter.get_tensor_details()}
    assert kinds <= {"uint8", "int8", "int32"}
    assert "DEQUANTIZE" not in operator_names(result.tflite)
    runner = interpreter.get_signature_runner("serve")
    (name, image), *others = runner.get_input_details().items()
    assert (name, others) == ("image", [])
    assert image["dtype"] == np.uint8
    assert image["shape"].tolist() == [1, 64, 64, 1]
    assert image["quantization"] == (pytest.approx(1 / 255), 0)
    outputs = runner.get_output_details()
    assert set(outputs) == {"lung", "infection"}
    for output in outputs.values():
        assert output["dtype"] == np.uint8
        assert output["quantization"] == (pytest.approx(1 / 256), 0)


def test_file_is_the_trained_network(result, tiny_model):
    """It follows the weights that came back, and not those from before."""
    segmenter = Segmenter.from_bytes(result.tflite, SPEC)
    images = [SPEC.apply(draw_phantom(i, 0.3, 64).image) for i in range(4)]
    pixels = np.stack(images)[..., None].astype("float32") / 255
    tuned = result.model.predict(pixels, verbose=0)
    start = tiny_model.predict(pixels, verbose=0)
    levels = [segmenter.run(x) for x in images]
    for flow in ("lung", "infection"):
        maps = np.stack([x[flow] for x in levels])[..., None] / 256
        error = np.abs(maps - tuned[flow]).mean()
        assert 0 < error < 0.02
        assert error < np.abs(maps - start[flow]).mean()


def test_weights_come_back_and_statistics_stay(result, tiny_model, before):
    for ours, theirs in zip(tiny_model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    old = {w.path: np.asarray(w.value) for w in tiny_model.weights}
    new = {w.path: np.asarray(w.value) for w in result.model.weights}
    same = {path for path in old if np.array_equal(old[path], new[path])}
    statistics = {path for path in old if "moving_" in path}
    assert statistics <= same
    # A filter that is dead on phantoms has no gradient; the rest has.
    assert len(same - statistics) < 0.1 * len(set(old) - statistics)
    assert type(result.model) is DualFlowSegmenter
    assert max(result.twin_difference) <= 1e-5
    assert len(result.history["loss"]) == 2


def scalars(layer):
    return [w for w in layer.weights if w.shape.rank == 0]


def test_ranges_are_those_of_the_values(tiny_model, batches):
    twin = tf_keras_twin(tiny_model).model
    quantized = quantize_network(twin)
    set_ranges(quantized, twin, batches.take(1))
    fix_input_range(quantized, 1.0)
    ranges = {}
    for layer in quantized.layers:
        values = {w.name.split("/")[-1]: float(w) for w in scalars(layer)}
        ranges[layer.name] = sorted(
            v for k, v in values.items() if k.endswith(("_min:0", "_max:0"))
        )
    (image,) = (v for k, v in ranges.items() if k.startswith("quantize_layer"))
    assert image == [0.0, 1.0]
    # A ReLU starts at 0; nothing is left at the toolkit's +-6.
    low, high = ranges["quant_lung_d1_relu"]
    assert low == 0.0 < high
    assert not any(6.0 in limits or -6.0 in limits for limits in ranges.values())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, "`epochs` must be at least 1"),
        ({"learning_rate": 0.0}, "`learning_rate` positive"),
        ({"teacher_share": 1.5}, r"`teacher_share` in \[0, 1\]"),
    ],
)
def test_training_refuses(tiny_model, batches, options, text):
    with pytest.raises(ValueError, match=text):
        train_quantization_aware(tiny_model, SPEC, batches, **options)


def test_other_models_are_refused(tiny_model, batches):
    encoder = EdgeEncoder((64, 64, 1), 4, (4, 4), (0, 0))
    one_flow = DualFlowSegmenter(encoder, attention="none", lung_supervision=False)
    with pytest.raises(ValueError, match=r"Received: \['infection'\]"):
        train_quantization_aware(one_flow, SPEC, batches)
    with pytest.raises(ValueError, match="takes images"):
        train_quantization_aware(tiny_model, PreprocessingSpec(32, 32), batches)
    with pytest.raises(ValueError, match="must know its number of batches"):
        train_quantization_aware(tiny_model, SPEC, batches.repeat())


def test_training_batches_keep_the_share_of_findings(phantom_data):
    assert len(training_batches(phantom_data, SPEC, batch_size=4)) == 3
    assert len(training_batches(phantom_data, SPEC, 8, batch_size=4)) == 2
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        training_batches(phantom_data, SPEC, 0)


def load_command(path):
    spec = importlib.util.spec_from_file_location(path.stem + "_command", path)
    command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(command)
    return command


def test_command(result, tiny_model, phantom_data, tmp_path, monkeypatch, capsys):
    """All but the training, which the tests above did."""
    command = load_command(COMMAND)
    monkeypatch.setattr(command, "train_quantization_aware", lambda *_: result)
    tiny_model.save(tmp_path / "tiny.keras")
    words = [str(tmp_path / "tiny.keras"), "--data", str(phantom_data)]
    words += ["--out", str(tmp_path / "tiny"), "--keras", str(tmp_path / "tuned.keras")]
    assert command.main([*words, "--batch-size", "4"]) == 0
    assert "3 batches of 4" in (tmp_path / "tiny" / "MODEL_CARD.md").read_text()
    assert Segmenter(tmp_path / "tiny").run(np.zeros((64, 64), np.uint8))
    tuned = keras.saving.load_model(tmp_path / "tuned.keras", compile=False)
    np.testing.assert_array_equal(tuned.get_weights()[0], result.model.get_weights()[0])
    capsys.readouterr()
    assert command.main(words) == 2
    assert "already there" in capsys.readouterr().err
