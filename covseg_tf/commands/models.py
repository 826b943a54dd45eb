"""List the bundled models."""

import dataclasses

from covseg_tf.options import command


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """There is nothing to choose."""


def run(options: Options) -> None:
    """Prints the name, size and folder of each."""
    from covseg_tf.edge import bundled_models, load_bundle

    for name in bundled_models():
        bundle = load_bundle(name)
        size = len(bundle.model) / 2**20
        print(f"{name}  {size:.2f} MiB  {bundle.folder}")


main = command("covseg models", __doc__, Options, run)
