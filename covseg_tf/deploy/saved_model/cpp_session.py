"""The C++ session that TF Serving runs, reached through TensorFlow's C API."""

import ctypes
import pathlib
import weakref

import numpy as np
import tensorflow as tf

_FLOAT = 1  # TF_FLOAT


class CppSession:
    """Loads a SavedModel as TF Serving does, and runs a signature of floats.

    `TF_LoadSessionFromSavedModel` and `TF_SessionRun` of the library inside the
    TensorFlow wheel: the same C++ loader and runtime as the server's, with no Python
    between. Source: `tensorflow/c/c_api.h`.

    Args:
        path: The SavedModel's folder.
        signature: Name of the signature. Defaults to `"serving_default"`.

    Raises:
        ValueError: If TensorFlow cannot load it, or there is no such signature.
    """

    def __init__(self, path: str | pathlib.Path, signature: str = "serving_default"):
        self._library = _library()
        self._status = self._library.TF_NewStatus()
        self._graph = self._library.TF_NewGraph()
        options = self._library.TF_NewSessionOptions()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = self._library.TF_LoadSessionFromSavedModel(
            options, None, str(path).encode(), tags, 1, self._graph, None, self._status
        )
        self._library.TF_DeleteSessionOptions(options)
        self._free = weakref.finalize(
            self, _free, self._library, self._session, self._graph, self._status
        )
        self._free.atexit = False  # the process ends; TensorFlow may be gone already
        self._check()
        self._inputs, self._outputs = _tensor_names(path, signature)

    def run(
        self, inputs: dict[str, np.ndarray], outputs: tuple[str, ...]
    ) -> dict[str, np.ndarray]:
        """Runs the signature.

        Args:
            inputs: Dict from input name to float32 array, of any rank: a wrong one
                is for the graph to refuse.
            outputs: Names of the float32 outputs to compute.

        Returns:
            Dict from output name to array.

        Raises:
            ValueError: If a name is unknown, or TensorFlow refuses the input; with
                its own message.
        """
        unknown = [
            *(set(inputs) - set(self._inputs)),
            *(set(outputs) - set(self._outputs)),
        ]
        if unknown:
            raise ValueError(
                f"The signature takes {sorted(self._inputs)} and gives "
                f"{sorted(self._outputs)}. Received: {', '.join(unknown)}"
            )
        if not self._free.alive:
            raise ValueError("The session is closed; load the SavedModel again.")
        library = self._library
        feeds = [self._place(self._inputs[name]) for name in inputs]
        fetches = [self._place(self._outputs[name]) for name in outputs]
        tensors = [_to_tensor(library, array) for array in inputs.values()]
        results = (_Pointer * len(fetches))()
        library.TF_SessionRun(
            self._session,
            None,
            (_Output * len(feeds))(*feeds),
            (_Pointer * len(feeds))(*tensors),
            len(feeds),
            (_Output * len(fetches))(*fetches),
            results,
            len(fetches),
            None,
            0,
            None,
            self._status,
        )
        for tensor in tensors:
            library.TF_DeleteTensor(tensor)
        self._check()
        arrays = [_to_array(library, tensor) for tensor in results]
        for tensor in results:
            library.TF_DeleteTensor(tensor)
        return dict(zip(outputs, arrays, strict=True))

    def close(self) -> None:
        """Frees the session; it cannot be run afterwards."""
        self._free()

    def __enter__(self) -> "CppSession":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _place(self, tensor_name):
        operation, _, index = tensor_name.partition(":")
        found = self._library.TF_GraphOperationByName(self._graph, operation.encode())
        return _Output(found, int(index))

    def _check(self):
        if self._library.TF_GetCode(self._status):
            raise ValueError(self._library.TF_Message(self._status).decode())


def _free(library, session, graph, status):
    if session:
        library.TF_CloseSession(session, status)
        library.TF_DeleteSession(session, status)
    library.TF_DeleteGraph(graph)
    library.TF_DeleteStatus(status)


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class _Pointer(ctypes.c_void_p):
    """As a result type it stays a pointer; a plain one would become an integer,
    which ctypes cuts to 32 bits when it is passed on.
    """


_POINTERS = (
    *("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions"),
    *("TF_LoadSessionFromSavedModel", "TF_GraphOperationByName"),
    *("TF_AllocateTensor", "TF_TensorData"),
)


def _library():
    folder = pathlib.Path(tf.sysconfig.get_lib())
    found = sorted(folder.glob("libtensorflow_cc.so.*"))
    if not found:
        raise ValueError(f"{folder}: no libtensorflow_cc.so in this TensorFlow wheel.")
    library = ctypes.CDLL(str(found[0]))
    for name in _POINTERS:
        getattr(library, name).restype = _Pointer
    library.TF_Message.restype = ctypes.c_char_p
    library.TF_Dim.restype = ctypes.c_int64
    return library


def _tensor_names(path, signature):
    from tensorflow.core.protobuf import saved_model_pb2

    data = (pathlib.Path(path) / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(data).meta_graphs[0]
    if signature not in graph.signature_def:
        raise ValueError(
            f"{path}: has no signature {signature!r}. It has: "
            f"{', '.join(sorted(graph.signature_def))}"
        )
    found = graph.signature_def[signature]
    return tuple(
        {k: v.name for k, v in x.items()} for x in (found.inputs, found.outputs)
    )


def _to_tensor(library, array):
    array = np.ascontiguousarray(array, np.float32)
    dims = (ctypes.c_int64 * array.ndim)(*array.shape)
    size = ctypes.c_size_t(array.nbytes)
    tensor = library.TF_AllocateTensor(_FLOAT, dims, array.ndim, size)
    ctypes.memmove(library.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
    return tensor


def _to_array(library, tensor):
    rank = library.TF_NumDims(tensor)
    shape = [library.TF_Dim(tensor, axis) for axis in range(rank)]
    array = np.empty(shape, np.float32)
    ctypes.memmove(array.ctypes.data, library.TF_TensorData(tensor), array.nbytes)
    return array
