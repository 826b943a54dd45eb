"""Serves a SavedModel with TensorFlow."""

import pathlib

from covseg_tf.serving.errors import InvalidRequest, error_from_code
from covseg_tf.serving.repository.servable import Servable
from covseg_tf.serving.wire import Signature, TensorSpec


class SavedModelServable(Servable):
    """A SavedModel's folder, loaded with `tf.saved_model.load`.

    Inputs are checked against the signatures before the graph sees them: a
    graph without `tf.ensure_shape` would end the process on a wrong rank.

    Args:
        folder: The folder that holds `saved_model.pb`.
        name: Name to serve it under.
        version: Int >= 0. Defaults to 1.
        max_image_pixels: As for `Servable`.
        max_batch: As for `Servable`.

    Raises:
        ValueError: If TensorFlow is missing or the folder holds no SavedModel
            that it reads.
    """

    def __init__(
        self,
        folder: str | pathlib.Path,
        name: str,
        version: int = 1,
        max_image_pixels: int = 25_000_000,
        max_batch: int = 64,
    ):
        try:
            import tensorflow as tf
        except ImportError:
            raise ValueError(
                f"{folder}: a SavedModel needs TensorFlow; install it with pip "
                "install 'covseg-tf[serving]', or serve a bundle."
            ) from None
        self._tf = tf
        try:
            signatures = _read_signatures(pathlib.Path(folder) / "saved_model.pb")
            self._model = tf.saved_model.load(str(folder))
        except Exception as error:  # TensorFlow raises a dozen kinds here
            raise ValueError(
                f"{folder}: not a SavedModel that can be loaded "
                f"({type(error).__name__}: {error}). Export it again."
            ) from None
        super().__init__(name, version, signatures, max_image_pixels, max_batch)

    def _run(self, signature_name, inputs):
        if signature_name not in self._model.signatures:
            raise InvalidRequest(f'"{signature_name}" cannot be asked to predict.')
        try:
            tensors = {
                name: self._tf.constant(x.tolist() if x.dtype == object else x)
                for name, x in inputs.items()
            }
            outputs = self._model.signatures[signature_name](**tensors)
        except self._tf.errors.OpError as error:
            from tensorflow.core.protobuf import error_codes_pb2

            code = error_codes_pb2.Code.Name(error.error_code)
            # TensorFlow appends the nodes' tracebacks on further lines.
            text = str(error.message).strip().splitlines()[0]
            raise error_from_code(code, text) from None
        names = self.signatures[signature_name].outputs
        return {name: outputs[name].numpy() for name in names}


def _read_signatures(path) -> dict[str, Signature]:
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graphs = [x for x in model.meta_graphs if "serve" in x.meta_info_def.tags]
    return {
        name: Signature(_specs(x.inputs), _specs(x.outputs), x.method_name)
        for name, x in sorted(graphs[0].signature_def.items())
    }


def _specs(tensors):
    from tensorflow.core.framework import types_pb2

    return {
        name: TensorSpec(
            types_pb2.DataType.Name(info.dtype),
            None
            if info.tensor_shape.unknown_rank
            else tuple(dim.size for dim in info.tensor_shape.dim),
            info.name,
        )
        for name, info in sorted(tensors.items())
    }
