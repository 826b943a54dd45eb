"""Speed and memory of an artifact, in a process of its own.

    python -m covseg_tf.deploy.proof.measure MODEL THREADS RUNS

The child of `measure_artifact`; prints one line of JSON.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

from covseg_tf.edge.measure import Measurement, timed

_LONGEST = 600  # seconds


def measure_artifact(
    model: str | pathlib.Path, form: str, threads: int = 1, runs: int = 50
) -> Measurement:
    """Times an artifact in a fresh process.

    Args:
        model: As for `load_predictor`.
        form: As `describe_artifact` says; TFLite files and bundles are measured
            without TensorFlow in the process, as on a device.
        threads: Int >= 1, threads within an operation.
        runs: Int >= 1, inferences to time.

    Returns:
        A `Measurement`; the delegate's numbers are 0 but for TFLite.

    Raises:
        ValueError: If the process fails; with its last line.
    """
    if form in ("tflite", "bundle"):
        module = "covseg_tf.edge.measure"
        words = [str(model), "--threads", str(threads), "--runs", str(runs)]
    else:
        module = "covseg_tf.deploy.proof.measure"
        words = [str(model), str(threads), str(runs)]
    result = subprocess.run(
        [sys.executable, "-m", module, *words],
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(threads)},
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"{model}: cannot be measured: {last}")
    return Measurement(**json.loads(result.stdout.strip().splitlines()[-1]))


def _measure(model, threads, runs):
    import tensorflow as tf

    from covseg_tf.deploy.proof.load_predictor import load_predictor

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    start = time.perf_counter()
    predictor = load_predictor(model, threads)
    pixels = np.full((predictor.spec.height, predictor.spec.width), 127, np.uint8)
    predictor(pixels)
    load_ms = 1000 * (time.perf_counter() - start)
    times = timed(lambda: predictor(pixels), runs)
    return Measurement.of_times(threads, load_ms, times)


if __name__ == "__main__":
    found = _measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(dataclasses.asdict(found)))
