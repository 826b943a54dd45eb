"""TensorFlow's `TensorProto` to arrays and back."""

import numpy as np
import tensorflow as tf

from covseg_tf.serving.errors import InvalidRequest
from covseg_tf.serving.wire.tensor_spec import TensorSpec


def array_from_proto(servable, name: str, spec: TensorSpec, tensor) -> np.ndarray:
    """Returns the array of an input's `TensorProto`, if the servable takes its shape.

    Raises:
        ServingError: `InvalidRequest` or `TooLarge`.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise InvalidRequest(f"tensor parsing error: {name}")
    # Before the array is built: a shape alone may ask for all the memory.
    servable.check_shape(name, spec, shape)
    try:
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"tensor parsing error: {name} ({error})") from None


def array_to_proto(array: np.ndarray):
    """Returns the `TensorProto` of numbers, or of bytes in an object array."""
    if array.dtype == object:
        return tf.make_tensor_proto(array.tolist(), tf.string, array.shape)
    return tf.make_tensor_proto(array)
