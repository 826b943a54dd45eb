"""What a servable takes and gives under one name."""

import dataclasses

from covseg_tf.serving.wire.tensor_spec import TensorSpec


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name.

    Attributes:
        inputs: `TensorSpec` by input name.
        outputs: `TensorSpec` by output name.
        method_name: Kind of signature; TensorFlow's name for `predict`.
    """

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    method_name: str = "tensorflow/serving/predict"

    def to_json(self) -> dict:
        """Returns TensorFlow's `SignatureDef` as JSON."""
        return {
            "inputs": {name: x.to_json() for name, x in self.inputs.items()},
            "outputs": {name: x.to_json() for name, x in self.outputs.items()},
            "method_name": self.method_name,
            "defaults": {},
        }
