"""Runtimes of other devices, beside the one that an artifact is made for."""

import dataclasses
import importlib.util
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from covseg_tf.deploy.flows import network_input
from covseg_tf.deploy.packages import needs
from covseg_tf.deploy.proof.load_predictor import artifact_form, load_predictor
from covseg_tf.deploy.proof.runtimes import signature_predictor
from covseg_tf.deploy.tflite.devices import check_devices
from covseg_tf.edge.bundle import load_bundle
from covseg_tf.edge.verify_model import verify_model
from covseg_tf.evaluation.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class RuntimeParity:
    """One artifact under another runtime, against a reference.

    Attributes:
        runtime: Its name.
        reason: Why it was not run; empty if it was.
        max_difference: Largest of a probability, over all images and flows.
        unequal: Share of pixels that differ at all.
        dice: Of the masks above 0.5 of both, by flow; the mean over images.
    """

    runtime: str
    reason: str = ""
    max_difference: float = 0.0
    unequal: float = 0.0
    dice: dict[str, float] = dataclasses.field(default_factory=dict)


def compare_runtimes(
    model: str | pathlib.Path,
    images: Sequence[np.ndarray],
    reference: Predictor | None = None,
) -> list[RuntimeParity]:
    """Runs an artifact under every other runtime that takes its form.

    A `.tflite` file or a bundle: LiteRT's reference kernels, LiteRT's CompiledModel,
    TensorFlow Lite Micro, OpenVINO. A SavedModel or `.onnx` file: OpenVINO.

    Args:
        model: As for `load_predictor`.
        images: uint8 images of any size, `(rows, columns)`.
        reference: What to compare with; by default the artifact under its own
            runtime: LiteRT, TensorFlow, ONNX Runtime.

    Returns:
        A `RuntimeParity` each; one that is not installed says so in `reason`.

    Raises:
        ValueError: As `load_predictor`.
    """
    own = reference or load_predictor(model)
    expected = [own(own.spec.apply(image)) for image in images]
    found = []
    for name, (package, make) in _RUNTIMES[_is_tflite(model)].items():
        if importlib.util.find_spec(package) is None:
            found.append(RuntimeParity(name, f"{package} is not installed"))
            continue
        try:
            other = make(model)
            maps = [other(other.spec.apply(image)) for image in images]
        except (ValueError, RuntimeError) as error:
            found.append(RuntimeParity(name, str(error).strip().splitlines()[0]))
            continue
        found.append(_compared(name, expected, maps))
    return found


def _compared(name, expected, maps):
    flows = [flow for flow in expected[0] if flow in maps[0]]
    pairs = [(a[f], b[f]) for a, b in zip(expected, maps, strict=True) for f in flows]
    dice = {
        flow: float(
            np.mean(
                [
                    _dice(a[flow] > 0.5, b[flow] > 0.5)
                    for a, b in zip(expected, maps, strict=True)
                ]
            )
        )
        for flow in flows
    }
    largest = max(float(np.abs(a - b).max()) for a, b in pairs)
    unequal = float(np.mean([np.mean(a != b) for a, b in pairs]))
    return RuntimeParity(name, "", largest, unequal, dice)


def _dice(one, other):
    total = one.sum() + other.sum()
    return 2 * (one & other).sum() / total if total else 1.0


def _is_tflite(model):
    return artifact_form(model) in ("tflite", "bundle")


def _tflite_file(model):
    """Bytes and preprocessing, `None` where a file does not say."""
    if artifact_form(model) == "bundle":
        bundle = load_bundle(model)
        return bundle.model, bundle.preprocessing
    data = pathlib.Path(model).read_bytes()
    verify_model(data)
    return data, None


def _details(data, plain=False):
    """LiteRT's signature runner, and where each output stands in the file."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=kind if plain else OpResolverType.AUTO,
    )
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner("serve")
    places = [tensor["index"] for tensor in interpreter.get_output_details()]
    outputs = runner.get_output_details()
    return runner, {key: places.index(x["index"]) for key, x in outputs.items()}


def _wrap(model, runner, run):
    _, spec = _tflite_file(model)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    return signature_predictor(run, inputs, outputs, spec, str(model))


def _plain(model):
    runner, _ = _details(_tflite_file(model)[0], plain=True)
    return _wrap(model, runner, runner)


def _compiled(model):
    from ai_edge_litert.compiled_model import CompiledModel

    data, _ = _tflite_file(model)
    runner, _ = _details(data)
    compiled = CompiledModel.from_buffer(data)
    (key,) = runner.get_input_details()
    outputs = runner.get_output_details()
    source = compiled.create_input_buffer_by_name("serve", key)
    targets = {x: compiled.create_output_buffer_by_name("serve", x) for x in outputs}

    def run(**inputs):
        source.write(np.ascontiguousarray(inputs[key]))
        compiled.run_by_name("serve", {key: source}, targets)
        return {
            name: np.reshape(
                targets[name].read(int(np.prod(x["shape"])), x["dtype"]), x["shape"]
            )
            for name, x in outputs.items()
        }

    return _wrap(model, runner, run)


def _micro(model):
    data, _ = _tflite_file(model)
    interpreter = micro_interpreter(data)
    runner, places = _details(data)
    (key,) = runner.get_input_details()

    def run(**inputs):
        interpreter.set_input(inputs[key], 0)
        interpreter.invoke()
        return {name: interpreter.get_output(n) for name, n in places.items()}

    return _wrap(model, runner, run)


def micro_interpreter(model: bytes, arena_bytes: int | None = None) -> Any:
    """Returns TensorFlow Lite Micro's reference interpreter.

    Args:
        model: Bytes of the file, verified.
        arena_bytes: Its arena; by default twice what is alive at one time, and
            300 kB.

    Raises:
        ValueError: If tflite-micro is missing, lacks an operator, or the arena is
            too small.
    """
    report = check_devices(model)
    if report.micro:
        raise ValueError(f"TensorFlow Lite Micro: {'; '.join(report.micro)}.")
    with needs("micro"):
        from tflite_micro.python.tflite_micro import runtime
    arena = arena_bytes or 2 * report.alive_bytes + 300_000
    try:
        return runtime.Interpreter.from_bytes(model, arena_size=arena)
    except RuntimeError as error:
        raise ValueError(
            f"TensorFlow Lite Micro does not start in {arena} bytes ({error})."
        ) from None


def openvino_predictor(model: str | pathlib.Path) -> Predictor:
    """Runs a `.tflite` file, bundle, SavedModel or `.onnx` file with OpenVINO.

    On the CPU, in float32 where the file is in float.

    Args:
        model: As for `load_predictor`, but no `.keras` file.

    Returns:
        A `Predictor`.

    Raises:
        ValueError: If openvino is missing or cannot load it.
    """
    with needs("openvino"):
        import openvino
    core = openvino.Core()
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    if not _is_tflite(model):
        own = load_predictor(model)
        network = core.compile_model(core.read_model(str(model)), "CPU", precision)

        def run_float(pixels):
            maps = network(network_input(pixels, own.spec))
            return {flow: maps[flow][0, :, :, 0] for flow in own.flows}

        return dataclasses.replace(own, run=run_float)
    data, _ = _tflite_file(model)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.tflite")
        path.write_bytes(data)
        network = core.compile_model(core.read_model(path), "CPU", precision)
    runner, places = _details(data)
    (key,) = runner.get_input_details()

    def run(**inputs):
        maps = network(inputs[key])
        return {name: maps[place] for name, place in places.items()}

    return _wrap(model, runner, run)


# By whether the artifact is a TFLite file: package and maker of each runtime.
_Makers = dict[str, tuple[str, Callable[[str | pathlib.Path], Predictor]]]
_RUNTIMES: dict[bool, _Makers] = {
    True: {
        "LiteRT, reference kernels": ("ai_edge_litert", _plain),
        "LiteRT CompiledModel": ("ai_edge_litert.compiled_model", _compiled),
        "TensorFlow Lite Micro": ("tflite_micro", _micro),
        "OpenVINO": ("openvino", openvino_predictor),
    },
    False: {"OpenVINO": ("openvino", openvino_predictor)},
}
