"""One version of a model that can be asked for predictions."""

import abc
import math

import numpy as np

from covseg_tf.imaging import ImageTooLarge, check_image
from covseg_tf.serving.errors import InvalidRequest, TooLarge
from covseg_tf.serving.wire import Signature, TensorSpec

# Inputs of this name hold whole image files.
IMAGE_INPUT = "image_bytes"


class Servable(abc.ABC):
    """A model's version: named signatures and `predict`.

    It checks every input before `_run`, which a subclass writes, sees it.

    Args:
        name: Name of the model.
        version: Int >= 0.
        signatures: `Signature` by name.
        max_image_pixels: Largest rows times columns of an encoded image.
        max_batch: Most images in one call.

    Attributes:
        name: As above, and so are the other four.
    """

    def __init__(
        self,
        name: str,
        version: int,
        signatures: dict[str, Signature],
        max_image_pixels: int = 25_000_000,
        max_batch: int = 64,
    ):
        self.name = name
        self.version = version
        self.signatures = signatures
        self.max_image_pixels = max_image_pixels
        self.max_batch = max_batch

    def predict(
        self, signature_name: str, inputs: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Runs one signature.

        Args:
            signature_name: Name of the signature; empty means
                `"serving_default"`.
            inputs: Array by input name; bytes stand in object arrays.

        Returns:
            Array by output name.

        Raises:
            ServingError: `InvalidRequest` for a wrong signature, name, type or
                shape, or a damaged image; `TooLarge` for too many or too large
                images.
        """
        signature_name = signature_name or "serving_default"
        signature = self.signatures.get(signature_name)
        if signature is None:
            raise InvalidRequest(
                f'Serving signature key "{signature_name}" not found. It has: '
                f"{', '.join(sorted(self.signatures))}",
                "FAILED_PRECONDITION",
            )
        _check_names(signature.inputs, inputs)
        for position, (name, spec) in enumerate(signature.inputs.items()):
            _check_type(position, spec, inputs[name])
            self.check_shape(name, spec, inputs[name].shape)
            if name == IMAGE_INPUT:
                for index, data in enumerate(inputs[name].ravel()):
                    self._check_image(f"{name}[{index}]", data)
        return self._run(signature_name, inputs)

    def check_shape(self, name: str, spec: TensorSpec, shape: tuple[int, ...]) -> None:
        """Refuses a shape; a transport asks this before it builds the array.

        Raises:
            ServingError: `InvalidRequest` or `TooLarge`.
        """
        if not spec.fits(shape):
            raise InvalidRequest(
                f"Shape of tensor {name} {_brackets(shape)} is not compatible with "
                f"expected shape {_brackets(spec.shape)}."
            )
        if spec.shape and spec.shape[0] == -1 and shape[0] == 0:
            raise InvalidRequest(f"Input {name} holds no image; send at least one.")
        if shape and shape[0] > self.max_batch:
            raise TooLarge(
                f"Input {name} holds {shape[0]} images, at most {self.max_batch} are "
                "taken at once; send smaller batches."
            )

    def check_size(self, name: str, spec: TensorSpec, shape: tuple[int, ...]) -> None:
        """Refuses a shape that is too large, and leaves others to `check_shape`.

        Nested lists are asked this before they are flattened: what is merely of
        the wrong shape is small then, and its first error is told as usual.

        Raises:
            ServingError: `InvalidRequest` or `TooLarge`.
        """
        # An empty list counts as one value: a million of them are none else.
        in_a_row = math.prod(max(size, 1) for size in shape[1:])
        rows = shape[0] if shape else 1
        if rows > self.max_batch or in_a_row > spec.row_values:
            self.check_shape(name, spec, shape)

    @abc.abstractmethod
    def _run(self, signature_name, inputs):
        """Computes checked inputs."""

    def _check_image(self, place, data):
        try:
            check_image(data, self.max_image_pixels)
        except ImageTooLarge as error:
            raise TooLarge(f"{place}: {error}") from None
        except ValueError as error:
            raise InvalidRequest(f"{place}: {error}") from None


def _check_names(expected, inputs):
    def listed(names):
        return f"{{{','.join(sorted(names))}}}"

    extra, missing = set(inputs) - set(expected), set(expected) - set(inputs)
    if extra or missing:
        raise InvalidRequest(
            f"input size does not match signature: {len(inputs)}!={len(expected)} "
            f"len({listed(inputs)}) != len({listed(expected)}). Sent extra: "
            f"{listed(extra)}. Missing but required: {listed(missing)}."
        )


def _check_type(position, spec, array):
    if spec.numpy_dtype is None or array.dtype != spec.numpy_dtype:
        kind = "string" if array.dtype == object else array.dtype.name
        kind = {"float32": "float", "float64": "double"}.get(kind, kind)
        raise InvalidRequest(
            f"Expects arg[{position}] to be {spec.short_dtype} but {kind} is provided"
        )


def _brackets(shape):
    return f"[{','.join('?' if size == -1 else str(size) for size in shape)}]"
