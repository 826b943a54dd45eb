"""Training steps of one network on each Keras backend, as ratios in one run.

    python -m benchmarks.backends [--preset xray] [--side 128] [--batch 4]

Each backend has a process of its own, on one thread; rounds go through all backends in
turn. What counts is the processor time of the fastest step, so that other work on the
machine does not. A backend that is not installed has no row.
"""

import argparse
import importlib.util
import os
import subprocess
import sys

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
STEP = """
import sys, time
import numpy as np
from covseg_tf.losses import CombinedSegmentationLoss
from covseg_tf.models import DualFlowSegmenter
preset, side, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
images = np.random.default_rng(0).random((batch, side, side, 1), dtype="float32")
masks = (images > 0.5).astype("float32")
model = DualFlowSegmenter.from_preset(preset, (side, side, 1))
model.compile("sgd", CombinedSegmentationLoss())
times = []
for _ in range(6):
    start = time.process_time()
    model.train_on_batch(images, {"lung": masks, "infection": masks})
    times.append(time.process_time() - start)
print(min(times[1:]))
"""


def step_seconds(backend, options):
    """Processor seconds of the fastest of five steps after the first."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1")
    result = subprocess.run(
        [sys.executable, "-c", STEP, options.preset, str(options.side)]
        + [str(options.batch)],
        env=os.environ | one_thread | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(result.stdout.split()[-1])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="xray")
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--batch", type=int, default=4, help="images a step")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(arguments)
    backends = [b for b, name in BACKENDS.items() if importlib.util.find_spec(name)]
    seconds: dict = {backend: [] for backend in backends}
    for _ in range(options.rounds):
        for backend in backends:
            seconds[backend].append(step_seconds(backend, options))
    print("| backend | seconds a step | ratio |\n|---|---|---|")
    for backend, times in seconds.items():
        ratio = min(times) / min(seconds[backends[0]])
        print(f"| {backend} | {min(times):.3f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
