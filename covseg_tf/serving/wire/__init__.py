"""What goes over the wire: signatures, JSON bodies and `TensorProto`s.

The words of errors are TensorFlow Serving's. JSON is the standard library's: requests
and answers hold NaN, which msgspec refuses and writes as null.
"""

from covseg_tf.serving.wire.signature import Signature
from covseg_tf.serving.wire.tensor_spec import TensorSpec

__all__ = ["Signature", "TensorSpec"]
