"""Models of someone else: none runs code or ends the process."""

import collections
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

from covseg_tf.edge import PreprocessingSpec, Segmenter, load_bundle
from covseg_tf.edge.verify_model import OPERATORS, verify_model


@pytest.fixture(scope="module")
def model():
    return load_bundle("xray_nano").model


def changed(model, place, kind, value):
    data = bytearray(model)
    struct.pack_into(f"<{kind}", data, place, value)
    return bytes(data)


def schema(data):
    from ai_edge_litert import schema_py_generated

    return schema_py_generated.ModelT.InitFromObj(
        schema_py_generated.Model.GetRootAs(data)
    )


def packed(tree):
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_operators_are_called_as_in_the_schema():
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    assert {getattr(BuiltinOperator, x): x for x in OPERATORS.values()} == OPERATORS


@pytest.mark.parametrize("name", ["xray", "xray_nano", "ct_small"])
def test_ours_pass_at_once(name):
    verify_model(load_bundle(name).model)


def operator(name):
    def spoil(tree):
        tree.operatorCodes[0].builtinCode = name
        tree.operatorCodes[0].deprecatedBuiltinCode = min(name, 127)

    return spoil


def custom(tree):
    tree.operatorCodes[0].builtinCode = tree.operatorCodes[0].deprecatedBuiltinCode = 32
    tree.operatorCodes[0].customCode = b"Flex"


def put(owner, name, place, value):
    values = list(getattr(owner, name))
    values[place] = value
    setattr(owner, name, values)


def first(tree):
    return tree.subgraphs[0].operators[0]


def of_input(tree):
    return tree.subgraphs[0].tensors[tree.subgraphs[0].inputs[0]]


def strides_of_none(tree):
    convolution = next(
        x for x in tree.subgraphs[0].operators if x.builtinOptionsType == 1
    )
    convolution.builtinOptions.strideW = 0


def resize_to_much(tree):
    graph = tree.subgraphs[0]
    codes = [x.builtinCode for x in tree.operatorCodes]
    resize = next(x for x in graph.operators if codes[x.opcodeIndex] == 23)
    size = tree.buffers[graph.tensors[resize.inputs[1]].buffer]
    size.data = np.frombuffer(struct.pack("<2i", 30000, 30000), np.uint8)


SPOILT = {
    "WHILE": (operator(119), "the operator 119"),
    "VAR_HANDLE": (operator(142), "the operator 142"),
    "custom": (custom, "the operator 32"),
    "input out of range": (
        lambda tree: put(first(tree), "inputs", 0, 10**6),
        "of what is not there",
    ),
    "input below zero": (
        lambda tree: put(first(tree), "inputs", 0, -7),
        "of what is not there",
    ),
    "runs in circles": (
        lambda tree: put(
            first(tree), "inputs", 0, tree.subgraphs[0].operators[-1].outputs[0]
        ),
        "of what is not there",
    ),
    "writes a constant": (
        lambda tree: put(
            first(tree), "outputs", 0, tree.subgraphs[0].operators[1].inputs[1]
        ),
        "written twice",
    ),
    "no such code": (lambda tree: setattr(first(tree), "opcodeIndex", 99), "a code"),
    "no such buffer": (
        lambda tree: setattr(of_input(tree), "buffer", 10**6),
        "whose buffer holds others",
    ),
    "a shape that overflows": (
        lambda tree: setattr(of_input(tree), "shape", [2**30, 2**30, 2**30, 1]),
        "a tensor of shape",
    ),
    "a shape below zero": (
        lambda tree: setattr(of_input(tree), "shape", [1, -1, 256, 1]),
        "and shape",
    ),
    "strings": (lambda tree: setattr(of_input(tree), "type", 5), "of type 5"),
    "more scales than channels": (
        lambda tree: setattr(of_input(tree).quantization, "scale", [1.0] * 9),
        "scales",
    ),
    "strides of none": (strides_of_none, "does not move on"),
    "resize to much": (resize_to_much, "another shape than it states"),
    "two graphs": (lambda tree: tree.subgraphs.append(tree.subgraphs[0]), "2 graphs"),
    "no such output": (
        lambda tree: put(tree.subgraphs[0], "outputs", 0, 10**6),
        "that nothing writes",
    ),
    "signature of no tensor": (
        lambda tree: setattr(tree.signatureDefs[0].outputs[0], "tensorIndex", 10**6),
        "a signature of no tensor",
    ),
    "buffer behind the end": (
        lambda tree: setattr(tree.buffers[3], "offset", 2**40),
        "buffers behind its end",
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_hostile_contents_are_refused(model, kind):
    spoil, text = SPOILT[kind]
    tree = schema(model)
    verify_model(packed(tree))
    spoil(tree)
    with pytest.raises(ValueError, match=text) as error:
        Segmenter.from_bytes(packed(tree), PreprocessingSpec(256, 256))
    assert "export it again" in str(error.value)


def test_offsets_that_lead_out_are_refused(model):
    for data in (b"", b"TFL3", b"\0\0\0\0TFL3", model[:5000], model[: len(model) // 2]):
        with pytest.raises(ValueError, match="is no TFLite file that is run here"):
            verify_model(data)
    for value in (0, 3, len(model), 2**31, 2**32 - 1):
        with pytest.raises(ValueError, match="is no TFLite file that is run here"):
            verify_model(changed(model, 0, "I", value))


def mutants(model, count, seed):
    """Copies with a few bytes or words changed where there are no weights."""
    rng = np.random.default_rng(seed)
    values = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
    for _ in range(count):
        data = bytearray(model)
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(len(model) - 8)) // 4 * 4
            if rng.random() < 0.5:
                data[place] ^= 1 << int(rng.integers(8))
            else:
                value = values[int(rng.integers(len(values)))]
                struct.pack_into("<I", data, place, value)
        yield bytes(data)


@pytest.mark.parametrize(
    "count", [60, pytest.param(5000, marks=pytest.mark.slow)], ids=str
)
def test_mutants_never_end_the_process(model, count):
    """Each that passes is run, in a process of its own that must come to its end."""
    spec = load_bundle("xray_nano").preprocessing
    size = spec.height, spec.width
    counts = collections.Counter()
    for number, data in enumerate(mutants(model, count, 0)):
        try:
            verify_model(data)
        except ValueError:
            counts["refused"] += 1
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            try:
                Segmenter.from_bytes(data, spec).run(np.zeros(size, np.uint8))
            except ValueError:
                pass
            finally:
                os._exit(0)
        status = os.waitpid(pid, 0)[1]
        assert status == 0, f"mutant {number}"
        counts["run"] += 1
    assert counts["run"] > 0


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_npy_of_objects_is_never_unpickled(tmp_path):
    from covseg_tf.imaging.sources.find_sources import bytes_sources

    mark = tmp_path / "ran"
    path = tmp_path / "evil.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array(
            stream, np.array([Evil(mark)], object), allow_pickle=True
        )
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(path)
    (source,) = bytes_sources("evil.npy", path.read_bytes())
    with pytest.raises(ValueError, match="not a PNG"):
        source.read()
    assert not mark.exists()


def test_nothing_here_unpickles():
    """No word that would, but in the reader that names what it lets through."""
    words = r"allow_pickle=True|torch\.load|import pickle|pickle\.load|safe_mode=False"
    words += r"|enable_unsafe_deserialization|joblib|yaml\.load\(|eval\(|exec\("
    found = subprocess.run(
        ["grep", "-rnE", f"(^|[^._a-zA-Z])({words})", "covseg_tf", "--include=*.py"],
        capture_output=True,
        text=True,
        cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    )
    (line,) = found.stdout.splitlines()
    assert line.startswith("covseg_tf/models/torch_state.py")


def test_pth_is_never_unpickled(tmp_path):
    from covseg_tf.deploy.load_network import read_keras
    from covseg_tf.models.torch_state import read_torch_state

    mark, path = tmp_path / "ran", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil(mark)))
    with pytest.raises(ValueError, match="not a state dict in PyTorch's serial form"):
        read_torch_state(path)
    with pytest.raises(ValueError, match="Keras cannot load it"):
        read_keras(path)
    assert not mark.exists()


def test_keras_lambda_is_never_run(tmp_path):
    import keras

    from covseg_tf.deploy.load_network import read_keras

    mark, path = tmp_path / "ran", tmp_path / "evil.keras"
    code = f"lambda x: (open({str(mark)!r}, 'w'), x)[1]"
    inputs = keras.Input((8, 8, 1))
    layer = keras.layers.Lambda(eval(code), output_shape=(8, 8, 1))
    network = keras.Model(inputs, layer(inputs))
    mark.unlink(missing_ok=True)
    network.save(path)
    assert zipfile.is_zipfile(path)
    with pytest.raises(ValueError, match="Keras cannot load it"):
        read_keras(path)
    assert not mark.exists()
    assert "keras" in sys.modules
