"""Films from the hospital's network, results back to it (extra `[node]`)."""

import importlib

from covseg_tf.node.settings import Destination, NodeSettings

# Read on demand: the command line is made of the settings, also without the extra.
_WITH_EXTRA = {"Node": "covseg_tf.node.node"}

__all__ = ["Destination", "Node", "NodeSettings"]


def __getattr__(name):
    if name in _WITH_EXTRA:
        return getattr(importlib.import_module(_WITH_EXTRA[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
