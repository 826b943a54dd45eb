"""One input or output of a signature."""

import dataclasses
import math

import numpy as np

_WHOLE = "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT32", "UINT64", "BOOL"
_NUMPY = {f"DT_{name}": np.dtype(name.lower()).type for name in _WHOLE} | {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_STRING": np.object_,
}


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """Type and shape of a tensor, as a SavedModel's signature states them.

    Attributes:
        dtype: TensorFlow's name, for example `"DT_FLOAT"` or `"DT_STRING"`.
        shape: Sizes, -1 where any will do; `None` for an unknown rank.
        name: Name of the tensor in the graph.
    """

    dtype: str
    shape: tuple[int, ...] | None
    name: str = ""

    @property
    def numpy_dtype(self) -> type | None:
        """The NumPy type that holds it; `None` if there is none."""
        return _NUMPY.get(self.dtype)

    @property
    def short_dtype(self) -> str:
        """The type as error messages name it, for example `"float"`."""
        return self.dtype.removeprefix("DT_").lower()

    @property
    def is_open(self) -> bool:
        """Whether a row of it may have any size."""
        return self.shape is None or -1 in self.shape[1:]

    @property
    def row_values(self) -> float:
        """The number of values in one row; infinity if any will do."""
        return math.inf if self.is_open else math.prod((self.shape or ())[1:])

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Returns whether a tensor of `shape` may stand here."""
        if self.shape is None:
            return True
        pairs = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(a in (-1, b) for a, b in pairs)

    def to_json(self) -> dict:
        """Returns TensorFlow's `TensorInfo` as JSON."""
        sizes = [{"size": str(size), "name": ""} for size in self.shape or ()]
        shape = {"dim": sizes, "unknown_rank": self.shape is None}
        return {"dtype": self.dtype, "tensor_shape": shape, "name": self.name}
