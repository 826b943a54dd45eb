"""Several devices and processes give what one gives."""

import os
import pathlib
import socket
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import covseg_tf.models  # noqa: F401  (registers the network for load_model)
from covseg_tf.training import join_workers, shard_batches, synchronize_batch_norm

RECIPE = pathlib.Path(__file__).resolve().parents[1] / "recipes" / "multi_worker.py"


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def run_together(commands, environment, timeout):
    """Runs all commands at once; returns their output, and leaves none behind."""
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
        )
        for command in commands
    ]
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-3000:]
    return outputs


def test_two_processes_train_what_one_trains(phantom_data, tmp_path):
    """Five steps of two images: one process, and one image for each of two."""
    words = ["--data", phantom_data, "--quick", "--batch-size", 2]
    alone = [RECIPE, *words, "--out", tmp_path / "alone"]
    pair = [RECIPE, *words, "--out", tmp_path / "pair"]
    pair += ["--workers", free_address(), free_address()]
    outputs = run_together(
        [alone, [*pair, "--worker", 0], [*pair, "--worker", 1]],
        {
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            # Compiling takes most of the time; the code need not be fast.
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        timeout=300,
    )
    assert "Worker 0 of 1, 1 devices: weights equal on all workers" in outputs[0]
    for number, output in enumerate(outputs[1:]):
        last = output.strip().splitlines()[-1]
        assert last == f"Worker {number} of 2, 2 devices: weights equal on all workers"

    one, *two = (
        keras.saving.load_model(folder / "best.keras", compile=False).get_weights()
        for folder in (
            tmp_path / "alone" / "worker_0",
            tmp_path / "pair" / "worker_0",
            tmp_path / "pair" / "worker_1",
        )
    )
    for alone, first, second in zip(one, *two, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, alone, rtol=1e-4, atol=1e-5)


MIRRORED = """
import keras, numpy as np, tensorflow as tf
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.training import compile_segmenter, synchronize_batch_norm

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
rng = np.random.default_rng(0)
x = rng.random((8, 32, 32, 1), "float32")
masks = {"lung": (x > 0.4) * 1.0, "infection": (x > 0.8) * 1.0}
data = tf.data.Dataset.from_tensor_slices((x, masks)).batch(4)

def fit(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        encoder = EdgeEncoder((32, 32, 1), 4, (4, 6), (0, 0))
        model = DualFlowSegmenter(encoder, separable=True)
        before = model.get_weights()
        if strategy.num_replicas_in_sync > 1:
            synchronize_batch_norm(model)
        compile_segmenter(model, 1e-3)
    logs = model.fit(data, epochs=2, validation_data=data, verbose=0).history
    flat = np.concatenate([w.ravel() for w in model.get_weights()])
    return flat, np.concatenate([w.ravel() for w in before]), logs

one, before, logs = fit(tf.distribute.get_strategy())
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
two, _, logs_two = fit(mirrored)
assert np.abs(one - before).max() > 0.05  # there was something to get wrong
np.testing.assert_allclose(two, one, atol=1e-5)
for name, values in logs.items():
    np.testing.assert_allclose(logs_two[name], values, rtol=1e-3, err_msg=name)
"""


@pytest.mark.slow  # TensorFlow traces two replicas; the two processes always run
def test_two_mirrored_replicas_train_what_one_device_trains():
    run_together([["-c", MIRRORED]], {"KERAS_BACKEND": "tensorflow"}, timeout=200)


def shares(dataset, devices, processes):
    return [
        [
            [np.asarray(part) for part in tf.nest.flatten(batch)]
            for batch in shard_batches(
                dataset,
                types.SimpleNamespace(
                    num_model_replicas=devices,
                    num_processes=processes,
                    data_shard_id=process,
                ),
            )
        ]
        for process in range(processes)
    ]


def test_shares_are_the_batch():
    x = np.arange(12.0).reshape(12, 1)
    dataset = tf.data.Dataset.from_tensor_slices((x, {"lung": -x})).batch(4)
    first, second = shares(dataset, devices=4, processes=2)
    assert len(first) == len(second) == 3
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        assert one[0].shape == other[0].shape == (2, 1)
        got = np.sort(np.concatenate([one[0], other[0]]), axis=0)
        np.testing.assert_array_equal(got, x[4 * number : 4 * number + 4])
        np.testing.assert_array_equal(one[1], -one[0])
    ((whole,), *_) = shares(dataset.take(1), devices=1, processes=1)
    np.testing.assert_array_equal(whole[0], x[:4])


def test_batches_that_cannot_be_shared():
    dataset = tf.data.Dataset.range(6)
    with pytest.raises(ValueError, match="devices, 2. Received: a batch of 3"):
        shares(dataset.batch(3, drop_remainder=True), devices=2, processes=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="number of devices, 4"):
        shares(dataset.batch(4), devices=4, processes=2)


def test_workers_that_cannot_be(monkeypatch):
    if keras.backend.backend() == "tensorflow":
        with pytest.raises(ValueError, match="KERAS_BACKEND=jax"):
            join_workers()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="one of the 2 workers. Received: worker=2"):
        join_workers(["127.0.0.1:1", "127.0.0.1:2"], 2)
    with pytest.raises(ValueError, match="for the TensorFlow backend"):
        synchronize_batch_norm(keras.Sequential())
