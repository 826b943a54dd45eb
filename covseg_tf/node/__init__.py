"""Films from the hospital's network, results back to it (extra `[node]`)."""

from covseg_tf.node.node import Node
from covseg_tf.node.settings import Destination, NodeSettings

__all__ = ["Destination", "Node", "NodeSettings"]
