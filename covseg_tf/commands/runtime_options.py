"""What every command that runs a bundle on this machine can be told."""

import dataclasses

from covseg_tf.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """Which network, and how fast.

    Attributes:
        model: Name of a bundled model, or path of a bundle.
        threads: Threads of LiteRT.
    """

    model: str = option("bundled model, or a bundle", "xray", metavar="NAME|FILE")
    threads: int = option("threads of one inference", 1, metavar="N")
