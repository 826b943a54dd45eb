"""Dice against latency: these networks and the peers that libraries publish.

    python -m benchmarks.frontier train --data COVID_QU_EX --out RUN \\
        --imagenet efficientnet-lite0-57934424.pth
    python -m benchmarks.frontier score --data COVID_QU_EX --out RUN \\
        --models xray=xray
    python -m benchmarks.frontier measure --out RUN/results/latency.csv \\
        --models miniseg_sized=RUN/miniseg_sized/model.tflite xray_bundled=xray ...
    python -m benchmarks.frontier table --results docs/results/frontier

`train` takes each network through one recipe: the same data, seed, augmentation
and epochs, at 128x128 and then at 256x256; exports it to full-integer TFLite and
scores that on every image of Val. After a kill the same command goes on where it
stopped. `score` scores bundles as they ship. Both write RUN/results, whose CSV files
are what is committed to docs/results/frontier; `measure` adds latency.csv there, and
`table` rebuilds docs/results/frontier.md and .svg from them and from nothing else.

    python -m benchmarks.frontier report MODEL --data DIR --external DIR2 --choose \\
        --out FOLDER

`report` measures what a model card states; `--help` after it says more.

Needs `pip install ".[tf,hub,docs]"`. `train --quick` is a run of about a minute
for each network.
"""

import functools
import importlib
import sys

from covseg_tf.options import group


def _run(module, main, words):
    """Imports a part when it is asked for: `table` needs no TensorFlow."""
    return getattr(importlib.import_module(f"benchmarks.frontier.{module}"), main)(
        words
    )


PARTS = {
    "train": ("train", "main"),
    "score": ("train", "score"),
    "measure": ("measure", "main"),
    "table": ("page", "main"),
    "report": ("report", "main"),
}
main = group(
    "frontier",
    __doc__,
    {name: functools.partial(_run, *part) for name, part in PARTS.items()},
)

if __name__ == "__main__":
    sys.exit(main())
