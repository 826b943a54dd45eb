"""The commands under export/, on a tiny network."""

import importlib.util
import json
import pathlib

import keras
import pytest

from covseg_tf.commands.target import check_target
from covseg_tf.deploy.whole_file import write_whole
from covseg_tf.edge import Segmenter, draw_phantom, load_bundle

EXPORT = pathlib.Path(__file__).resolve().parents[1] / "export"


def command(name):
    spec = importlib.util.spec_from_file_location(name, EXPORT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *words: module.main([str(word) for word in words])


@pytest.fixture(scope="module")
def tiny_file(tiny_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "tiny.keras"
    tiny_model.save(path)
    return path


def refusal(capsys):
    """The only line on stderr."""
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_to_tflite_makes_a_bundle_that_runs(tiny_file, phantom_data, tmp_path, capsys):
    run, out = command("to_tflite"), tmp_path / "tiny"
    words = (tiny_file, "--calibrate", phantom_data, "--out", out)
    assert run(*words, "--license", "Apache-2.0") == 0
    prediction = Segmenter(out).predict(draw_phantom(0).image)
    assert prediction.lung.shape == (512, 512)
    bundle = load_bundle(out)
    assert bundle.license == "Apache-2.0"
    assert bundle.export["quantize"] == "full_integer"
    assert bundle.export["source"] == "tiny.keras"
    assert "tensorflow" in bundle.export["versions"]
    capsys.readouterr()
    assert run(*words) == 2
    assert "already there" in refusal(capsys)
    assert run(tiny_file, "--out", tmp_path / "x") == 2
    assert "needs --calibrate DIR" in refusal(capsys)
    assert run(tmp_path, "--quantize", "float32", "--out", tmp_path / "x") == 2
    assert "no such file; give a .keras file" in refusal(capsys)
    assert not (tmp_path / "x").exists()


def test_to_tflite_with_ai_edge_and_as_a_plain_file(tiny_file, phantom_data, tmp_path):
    run = command("to_tflite")
    out = tmp_path / "tiny.tflite"
    words = ("--calibrate", phantom_data, "--quantizer", "ai_edge", "--out", out)
    assert run(tiny_file, *words) == 0
    assert out.stat().st_size < tiny_file.stat().st_size


def test_a_servable_its_proof_and_a_broken_one(
    tiny_model, tiny_file, phantom_data, tmp_path, capsys
):
    """Exports, then what check_parity says of a good and of a wrong artifact."""
    assert command("to_saved_model")(tiny_file, "--out", tmp_path / "m" / "tiny") == 0
    config = (tmp_path / "m" / "models.config").read_text()
    assert 'base_path: "/models/tiny"' in config
    assert 'key: "stable"' in config

    run, servable = command("check_parity"), tmp_path / "m" / "tiny" / "1"
    words = ("--data", phantom_data, "--limit", 3, "--threads", "--max-difference")
    capsys.readouterr()
    report = tmp_path / "report.json"
    assert run(tiny_file, servable, *words, 1e-6, "--json", report) == 0
    assert "saved_model" in report.read_text()
    document = json.loads(report.read_text())
    assert document["images"] == 3
    flows = document["artifacts"][0]["flows"]
    assert flows["lung"]["max_difference"] <= 1e-6
    assert "|---" in capsys.readouterr().out

    assert run(tiny_file, "xray", *words, 1) == 2
    assert "export it from this model" in refusal(capsys)
    assert run(tiny_file, servable, *words, 1, "--json", report) == 2
    assert "already there" in refusal(capsys)

    # The same network with one bias moved: exit code 1, with both figures.
    other = keras.models.clone_model(tiny_model)
    other.set_weights(tiny_model.get_weights())
    bias = other.get_layer("lung_logits").bias
    bias.assign(bias + 0.5)
    other.save(tmp_path / "other.keras")
    assert run(tmp_path / "other.keras", servable, *words, 1e-6) == 1
    error = capsys.readouterr().err
    assert "a lung probability differs by 0.1" in error
    assert "infection" not in error


@pytest.mark.parametrize(
    ("name", "words", "text"),
    [
        ("check_parity", ("F", "missing.tflite", "--data", "D"), "no such model"),
        ("check_parity", ("F", "xray", "--data", "D", "--rounds", 0), "--rounds must"),
        ("check_parity", ("F", "xray", "--data", "D", "--limit", -1), "--limit must"),
        ("check_parity", ("F", "xray", "--data", "D", "--split", "x"), "no split 'x'"),
        ("to_tflite", ("F", "--quantize", "float32", "--calibrate", "D"), "take none"),
        ("to_tflite", ("F", "--calibrate", "D", "--resizable-batch"), ".tflite"),
        ("to_tflite", ("F", "--calibrate", "/nothing"), "/nothing"),
        ("to_onnx", ("F",), "ends in .onnx"),
        ("to_mediapipe", ("F", "--calibrate", "D"), "ends in .tflite"),
        ("to_saved_model", ("F", "--version", 0), "at least 1"),
        ("to_saved_model", ("broken",), "cannot load"),
        ("quantization_aware", ("F", "--data", "D", "--batch-size", 0), "--batch-size"),
        (
            "compress",
            ("F", "--data", "D", "--method", "cluster", "--sparsity", 0.5),
            "is",
        ),
        ("mixed_precision", ("F", "--data", "D", "--max-dice-loss", -1), "0 or more"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tiny_file, phantom_data, tmp_path, capsys, name, words, text
):
    broken = tmp_path / "broken.keras"
    broken.write_bytes(tiny_file.read_bytes()[:5000])
    places = {"F": tiny_file, "D": phantom_data, "broken": broken}
    words = [places.get(word, word) for word in words]
    if name != "check_parity":
        words += ["--out", tmp_path / "out"]
    assert command(name)(*words) == 2
    assert text in refusal(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.keras"]


def test_targets_are_refused_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="already there; give another --out"):
        check_target(tmp_path / "file")
    with pytest.raises(ValueError, match="is no folder that can be written to"):
        check_target(tmp_path / "file" / "below")
    with pytest.raises(ValueError, match=r"ends in .json for --json"):
        check_target(tmp_path / "a.txt", "--json", ".json")
    check_target(tmp_path / "new" / "deep" / "a.json", "--json", ".json")
    write_whole(tmp_path / "new" / "a", b"1")
    with pytest.raises(ValueError, match="not overwritten"):
        write_whole(tmp_path / "new" / "a", b"2")
    assert (tmp_path / "new" / "a").read_bytes() == b"1"
    assert len(list((tmp_path / "new").iterdir())) == 1
