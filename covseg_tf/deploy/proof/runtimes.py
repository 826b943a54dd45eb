"""One function per runtime: Keras, TensorFlow, LiteRT, ONNX Runtime."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import keras
import numpy as np

from covseg_tf.deploy.flows import FLOWS, network_input
from covseg_tf.deploy.load_network import unreadable
from covseg_tf.deploy.packages import needs
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.edge.verify_model import verify_model
from covseg_tf.evaluation.predictor import Predictor

_SIGNATURES = ("serving_default", "serve")


def keras_predictor(
    model: keras.Model, spec: PreprocessingSpec | None = None, name: str = "keras"
) -> Predictor:
    """Runs a Keras model that is in memory.

    Args:
        model: The model; its side outputs are not computed.
        spec: Its preprocessing; by default its own input size, and 1 / 255.
        name: What errors call it.

    Returns:
        A `Predictor`.

    Raises:
        ValueError: If it takes other than one grey channel, or gives no infection
            map.
    """
    outputs = model.output if isinstance(getattr(model, "output", 0), dict) else {}
    flows = _checked_flows(name, outputs)
    _, image = _only_input(name, {x.name: x for x in model.inputs})
    spec = _checked_spec(name, image.shape, spec)
    network = keras.Model(image, {flow: outputs[flow] for flow in flows})

    def run(pixels):
        maps = network.predict_on_batch(network_input(pixels, spec))
        return {flow: np.asarray(maps[flow])[0, :, :, 0] for flow in flows}

    return Predictor(name, spec, flows, 0.5, run)


def saved_model_predictor(
    path: str | pathlib.Path, loader: str = "python"
) -> Predictor:
    """Runs the float signature of a SavedModel.

    Args:
        path: Its folder, the one with `saved_model.pb`.
        loader: `"python"`, `tf.saved_model.load`; `"cpp"`, the C++ session that
            TF Serving runs (see `CppSession`).

    Returns:
        A `Predictor`.

    Raises:
        ValueError: If it cannot be loaded, has no signature, takes other than one
            grey channel, or gives no infection map.
    """
    import tensorflow as tf

    path = pathlib.Path(path)
    if loader not in ("python", "cpp"):
        raise ValueError(f"`loader` must be 'python' or 'cpp'. Received: {loader!r}")
    try:
        loaded = tf.saved_model.load(str(path))
    except (ValueError, OSError, KeyError, tf.errors.OpError) as error:
        raise unreadable(path, "TensorFlow", error) from None
    signature = _signature(path, loaded.signatures)
    serve = loaded.signatures[signature]
    flows = _checked_flows(path, serve.structured_outputs)
    key, tensor = _only_input(path, serve.structured_input_signature[1])
    if not tensor.dtype.is_floating:
        raise ValueError(f"{path}: takes {tensor.dtype.name} images, expected float32.")
    spec = _checked_spec(path, tensor.shape)
    if loader == "cpp":
        from covseg_tf.deploy.saved_model.cpp_session import CppSession

        session = CppSession(path, signature)

        def run(pixels, loaded=loaded):
            maps = session.run({key: network_input(pixels, spec)}, flows)
            return {flow: maps[flow][0, :, :, 0] for flow in flows}
    else:

        def run(pixels, loaded=loaded):  # the signature does not keep the weights
            maps = serve(**{key: tf.cast(network_input(pixels, spec), tensor.dtype)})
            return {flow: maps[flow].numpy()[0, :, :, 0] for flow in flows}

    return Predictor(path.name, spec, flows, 0.5, run)


def tflite_predictor(
    model: bytes,
    spec: PreprocessingSpec | None = None,
    threads: int = 1,
    name: str = "tflite",
) -> Predictor:
    """Runs a TFLite file with LiteRT, whatever its interface.

    Args:
        model: Bytes of the file.
        spec: Its preprocessing; by default its own input size, and 1 / 255.
        threads: Int >= 1, threads of the interpreter.
        name: What errors call it.

    Returns:
        A `Predictor`; integer maps come as the probabilities that they stand for.

    Raises:
        ValueError: If LiteRT cannot load it, it has no signature, takes other than
            one grey channel, or gives no infection map.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        verify_model(model)
        interpreter = Interpreter(model_content=model, num_threads=threads)
        signatures = interpreter.get_signature_list()
    except (ValueError, RuntimeError) as error:
        raise unreadable(name, "LiteRT", error) from None
    runner = interpreter.get_signature_runner(_signature(name, signatures))
    return signature_predictor(
        runner, runner.get_input_details(), runner.get_output_details(), spec, name
    )


def signature_predictor(
    run: Callable[..., Mapping[str, np.ndarray]],
    inputs: Mapping[str, dict],
    outputs: Mapping[str, dict],
    spec: PreprocessingSpec | None = None,
    name: str = "tflite",
) -> Predictor:
    """Makes whatever runs a TFLite file's signature a `Predictor`.

    Args:
        run: Called with the input by its name; gives the outputs by theirs.
        inputs: LiteRT's details of the inputs, by name.
        outputs: The same of the outputs.
        spec: As for `tflite_predictor`.
        name: As for `tflite_predictor`.

    Returns:
        A `Predictor`.

    Raises:
        ValueError: As `tflite_predictor`.
    """
    flows = _checked_flows(name, outputs)
    key, tensor = _only_input(name, inputs)
    # The signature has -1 where the Keras model had None.
    shape = tensor.get("shape_signature", tensor["shape"]).tolist()
    spec = _checked_spec(name, [None if n < 0 else n for n in shape], spec)

    def run_image(pixels):
        maps = run(**{key: _quantized(network_input(pixels, spec), tensor)})
        return {flow: _real(maps[flow], outputs[flow])[0, :, :, 0] for flow in flows}

    return Predictor(pathlib.Path(name).stem, spec, flows, 0.5, run_image)


def onnx_predictor(path: str | pathlib.Path, threads: int = 1) -> Predictor:
    """Runs an ONNX file with ONNX Runtime on the CPU.

    Args:
        path: The file, as `export_onnx` writes it.
        threads: Int >= 1, threads within an operation.

    Returns:
        A `Predictor`.

    Raises:
        ValueError: If onnxruntime is missing or cannot load it, it takes other than
            one grey channel, or gives no infection map.
    """
    with needs("onnx"):
        import onnxruntime
    path = pathlib.Path(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own errors share no base of theirs
        raise unreadable(path, "ONNX Runtime", error) from None
    flows = _checked_flows(path, [output.name for output in session.get_outputs()])
    key, tensor = _only_input(path, {x.name: x for x in session.get_inputs()})
    # A free axis has a name in place of a number.
    shape = [n if isinstance(n, int) else None for n in tensor.shape]
    spec = _checked_spec(path, shape)

    def run(pixels):
        maps = session.run(list(flows), {key: network_input(pixels, spec)})
        return {flow: m[0, :, :, 0] for flow, m in zip(flows, maps, strict=True)}

    return Predictor(path.stem, spec, flows, 0.5, run)


def _quantized(values, tensor):
    kind = np.dtype(tensor["dtype"])
    if kind.kind == "f":
        return values.astype(kind)
    scale, zero = tensor["quantization"]
    limits = np.iinfo(kind)
    return np.clip(np.rint(values / scale) + zero, limits.min, limits.max).astype(kind)


def _real(values, tensor):
    if values.dtype.kind == "f":
        return values
    scale, zero = tensor["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale)


def _signature(path, signatures):
    found = next((name for name in _SIGNATURES if name in signatures), None)
    if found is None:
        raise ValueError(
            f"{path}: has no signature {' or '.join(_SIGNATURES)}; export it with "
            f"`model.export` or covseg_tf.deploy. It has: {sorted(signatures) or '-'}"
        )
    return found


def _only_input(path, inputs):
    if len(inputs) != 1:
        raise ValueError(
            f"{path}: takes {len(inputs)} inputs ({', '.join(inputs)}), expected one "
            "image."
        )
    return next(iter(inputs.items()))


def _checked_flows(path, outputs):
    if "infection" not in outputs:
        raise ValueError(
            f"{path}: gives no output named 'infection' (and may give 'lung'). "
            f"Its outputs: {', '.join(map(str, outputs)) or 'they have no names'}."
        )
    return tuple(flow for flow in FLOWS if flow in outputs)


def _checked_spec(path, shape, spec=None):
    shape = tuple(shape)
    if len(shape) != 4 or shape[0] not in (None, 1) or shape[-1] != 1:
        raise ValueError(
            f"{path}: takes an input {shape}, expected (batch, height, width, 1): "
            "one grey channel, channels last. Build it for such images."
        )
    default = spec or PreprocessingSpec()
    size = (shape[1] or default.height, shape[2] or default.width)
    if spec is not None and size != (spec.height, spec.width):
        raise ValueError(
            f"{path}: takes images {size}, its preprocessing makes "
            f"({spec.height}, {spec.width})."
        )
    return dataclasses.replace(default, height=size[0], width=size[1])
