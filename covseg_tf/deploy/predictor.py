"""Any form of a network behind one call."""

import dataclasses
import pathlib
import zipfile
from collections.abc import Callable, Mapping

import numpy as np

from covseg_tf.edge.bundle import MANIFEST, bundled_models
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.edge.segmenter import Segmenter

FLOWS = ("lung", "infection")
_SIGNATURES = ("serving_default", "serve")
_FORMS = (
    "a .keras file, a SavedModel's folder, a .tflite file, a bundle's folder or the "
    "name of a bundled model"
)


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A network that is ready to be scored, whatever file it came from.

    Attributes:
        name: The file's or folder's name without suffix, or the bundle's.
        spec: How pixels become its input; the size is read from the file.
        flows: The maps that it gives, `("lung", "infection")` or
            `("infection",)`.
        threshold: Foreground is above it: the bundle's, or 0.5.
        run: Prepared pixels to a dict of maps, see `__call__`.
    """

    name: str
    spec: PreprocessingSpec
    flows: tuple[str, ...]
    threshold: float
    run: Callable[[np.ndarray], Mapping[str, np.ndarray]] = dataclasses.field(
        repr=False
    )

    def __call__(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the probability maps of one image.

        Args:
            pixels: uint8 `(height, width)`, from `spec.apply`.

        Returns:
            Dict from flow to float32 `(height, width)` in `[0, 1]`.

        Raises:
            ValueError: If the pixels have another type or size.
        """
        shape = (self.spec.height, self.spec.width)
        if pixels.dtype != np.uint8 or pixels.shape != shape:
            raise ValueError(
                f"{self.name} takes uint8 pixels {shape}; use `spec.apply(image)`. "
                f"Received: {pixels.dtype} {pixels.shape}"
            )
        maps = self.run(pixels)
        return {flow: np.asarray(maps[flow], np.float32) for flow in self.flows}

    def mirrored(self) -> "Predictor":
        """Returns the mean of the maps of the image and of its mirror image.

        Twice the time. Source: Krizhevsky et al. 2012, "ImageNet Classification
        with Deep Convolutional Neural Networks", section 4.1.
        """

        def run(pixels):
            straight = self.run(pixels)
            mirrored = self.run(np.ascontiguousarray(pixels[:, ::-1]))
            return {
                k: (np.asarray(v) + np.asarray(mirrored[k])[:, ::-1]) / 2
                for k, v in straight.items()
            }

        return dataclasses.replace(self, name=f"{self.name}, mirrored", run=run)


def load_predictor(model: str | pathlib.Path, threads: int = 1) -> Predictor:
    """Loads a network in any form that this package writes.

    Side outputs are not computed. A network that takes any size is given
    256x256; grey levels are divided by 255 except where a bundle says
    otherwise. An integer TFLite file is given and gives what its quantization
    says.

    Args:
        model: A `.keras` file; the folder of a SavedModel, as `model.export`
            writes it; a `.tflite` file with a signature, float or integer; a
            bundle's folder; or the name of a bundled model.
        threads: Int >= 1, threads of a TFLite interpreter; TensorFlow keeps
            its own setting. Defaults to 1.

    Returns:
        A `Predictor`.

    Raises:
        ValueError: If there is no such file, it is no model, takes other than
            one grey channel, or gives no infection map.
    """
    if threads < 1:
        raise ValueError(f"`threads` must be at least 1. Received: {threads}")
    path = pathlib.Path(model)
    if str(model) in bundled_models() or _is_bundle(path):
        return _from_bundle(model, threads)
    if not path.exists():
        names = ", ".join(bundled_models())
        raise ValueError(f"{model}: no such model. Expected {_FORMS} ({names}).")
    if (path / "saved_model.pb").is_file():
        return _from_saved_model(path)
    if path.suffix == ".tflite":
        return _from_tflite(path, threads)
    if path.suffix == ".keras":
        return _from_keras(path)
    raise ValueError(f"{model}: not a model. Expected {_FORMS}.")


def _is_bundle(path):
    folder = path.parent if path.name in (MANIFEST, "model.tflite") else path
    return (folder / MANIFEST).is_file()


def _from_bundle(model, threads):
    segmenter = Segmenter(model, threads)
    bundle = segmenter.bundle

    def run(pixels):
        return {flow: levels / 256 for flow, levels in segmenter.run(pixels).items()}

    flows = _checked_flows(bundle.folder, bundle.labels)
    return Predictor(bundle.name, bundle.preprocessing, flows, bundle.threshold, run)


def _from_keras(path):
    import keras

    import covseg_tf.models  # noqa: F401  registers the classes that it names

    if not zipfile.is_zipfile(path):
        raise _unreadable(path, "Keras", "it is no Keras archive, or is damaged")
    try:
        network = keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, "Keras", error) from None
    outputs = network.output if isinstance(getattr(network, "output", 0), dict) else {}
    flows = _checked_flows(path, outputs)
    _, image = _only_input(path, {x.name: x for x in network.inputs})
    spec = _checked_spec(path, image.shape)
    network = keras.Model(image, {flow: outputs[flow] for flow in flows})

    def run(pixels):
        image = pixels[None, :, :, None].astype(np.float32) * spec.scale
        maps = network.predict_on_batch(image)
        return {flow: np.asarray(maps[flow])[0, :, :, 0] for flow in flows}

    return Predictor(path.stem, spec, flows, 0.5, run)


def _from_saved_model(path):
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(path))
    except (ValueError, OSError, KeyError, tf.errors.OpError) as error:
        raise _unreadable(path, "TensorFlow", error) from None
    serve = loaded.signatures[_signature(path, loaded.signatures)]
    flows = _checked_flows(path, serve.structured_outputs)
    inputs = serve.structured_input_signature[1]
    key, tensor = _only_input(path, inputs)
    if not tensor.dtype.is_floating:
        raise ValueError(f"{path}: takes {tensor.dtype.name} images, expected float32.")
    spec = _checked_spec(path, tensor.shape)

    def run(pixels, loaded=loaded):  # the signature alone does not keep the weights
        image = pixels[None, :, :, None].astype(np.float32) * spec.scale
        maps = serve(**{key: tf.cast(image, tensor.dtype)})
        return {flow: maps[flow].numpy()[0, :, :, 0] for flow in flows}

    return Predictor(path.name, spec, flows, 0.5, run)


def _from_tflite(path, threads):
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        signatures = interpreter.get_signature_list()
    except (ValueError, RuntimeError) as error:
        raise _unreadable(path, "LiteRT", error) from None
    runner = interpreter.get_signature_runner(_signature(path, signatures))
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    flows = _checked_flows(path, outputs)
    key, tensor = _only_input(path, inputs)
    # The signature has -1 where the Keras model had None.
    shape = tensor.get("shape_signature", tensor["shape"]).tolist()
    spec = _checked_spec(path, [None if n < 0 else n for n in shape])

    def run(pixels):
        image = pixels[None, :, :, None].astype(np.float32) * spec.scale
        maps = runner(**{key: _quantized(image, tensor)})
        return {flow: _real(maps[flow], outputs[flow])[0, :, :, 0] for flow in flows}

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


def _checked_spec(path, shape):
    shape = tuple(shape)
    if len(shape) != 4 or shape[0] not in (None, 1) or shape[-1] != 1:
        raise ValueError(
            f"{path}: takes an input {shape}, expected (batch, height, width, 1): "
            "one grey channel, channels last. Build it for such images."
        )
    default = PreprocessingSpec()
    return PreprocessingSpec(shape[1] or default.height, shape[2] or default.width)


def _unreadable(path, reader, error):
    reason = " ".join(str(error).split())[:200]  # one line, whatever the library says
    return ValueError(f"{path}: {reader} cannot load it as a model: {reason}")
