"""Speed, memory and arithmetic of TFLite files, and this CPU's int8 peak."""

import dataclasses
import pathlib
import statistics
import tempfile

import keras
import numpy as np

from benchmarks.frontier.networks import pairs
from benchmarks.machine import cpu_name
from covseg_tf.deploy import measure_artifact
from covseg_tf.deploy.tflite import convert_network, read_schema
from covseg_tf.edge import load_bundle
from covseg_tf.evaluation import write_rows
from covseg_tf.options import command, option

THREADS = (1, 2)
# Sides and channels of the pointwise convolutions that may reach the peak: much
# arithmetic for each byte, in tiles that no size suits badly.
PEAK_SHAPES = ((64, 256), (32, 512), (16, 1024))
_PEAK_LAYERS = 3


def count_file_macs(data: bytes) -> int:
    """Returns the multiply-accumulates of one call of a TFLite file.

    Those of convolutions, transposed ones too, dense layers and matrix products,
    from the sizes of the file's own tensors: what runs, whoever built it.

    Args:
        data: Bytes of a file of static shapes.
    """
    tree = read_schema(data)
    graph = tree.subgraphs[0]
    return sum(
        _operator_macs(tree.operatorCodes[operator.opcodeIndex], operator, graph)
        for operator in graph.operators
    )


def _operator_macs(code, operator, graph):
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.BuiltinOperator
    kind = max(code.builtinCode, code.deprecatedBuiltinCode)
    if kind not in (
        kinds.CONV_2D,
        kinds.DEPTHWISE_CONV_2D,
        kinds.TRANSPOSE_CONV,
        kinds.FULLY_CONNECTED,
        kinds.BATCH_MATMUL,
    ):
        return 0
    output = int(np.prod(graph.tensors[operator.outputs[0]].shape))
    first, second = (graph.tensors[i].shape for i in operator.inputs[:2])
    if kind == kinds.TRANSPOSE_CONV:  # every input position meets the whole kernel
        positions = int(np.prod(graph.tensors[operator.inputs[2]].shape[:-1]))
        return positions * int(np.prod(second))
    if kind == kinds.DEPTHWISE_CONV_2D:
        return output * int(np.prod(second[1:3]))
    if kind == kinds.BATCH_MATMUL:
        return output * int(first[-2 if operator.builtinOptions.adjX else -1])
    return output * int(np.prod(second[1:]))


def read_model(path: str | pathlib.Path) -> bytes:
    """Returns the bytes of a `.tflite` file, a bundle or a bundled model.

    Raises:
        ValueError: If there is no such file or bundle.
    """
    path = pathlib.Path(path)
    if path.suffix != ".tflite":
        return load_bundle(path).model
    if not path.is_file():
        raise ValueError(f"{path}: no such file; give NAME=PATH of a .tflite file.")
    return path.read_bytes()


def write_peak_models(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Writes full-integer files of large pointwise convolutions and nothing else."""
    written = {}
    for side, channels in PEAK_SHAPES:
        layers = [
            keras.layers.Conv2D(channels, 1, activation="relu")
            for _ in range(_PEAK_LAYERS)
        ]
        shape = (1, side, side, channels)
        network = keras.Sequential([keras.Input(shape[1:]), *layers])
        image = np.random.default_rng(0).random(shape, "float32")
        data = convert_network(network, shape, "full_integer", "int8", [image])
        written[f"{side}x{channels}"] = folder / f"peak_{side}.tflite"
        written[f"{side}x{channels}"].write_bytes(data)
    return written


def measure_models(
    models: dict[str, str], rounds: int = 7, runs: int = 30
) -> list[dict]:
    """Times models and the peak's convolutions in turn, round after round.

    Each measurement is a process of its own, without TensorFlow. What drifts
    (clock, neighbours) so hits all alike; the median round counts.

    Args:
        models: Dict from name to a `.tflite` file, a bundle or a bundled model.
        rounds: Int >= 1.
        runs: Int >= 1, timed inferences of a measurement.

    Returns:
        One dict for each model and number of threads, ready for CSV. `int8_peak`
        and `gmacs_per_s` are in 10^9 multiply-accumulates a second,
        `share_of_peak` in [0, 1], memory in megabytes.

    Raises:
        ValueError: If a number is below 1, or a model cannot be read or run.
    """
    if rounds < 1 or runs < 1:
        raise ValueError(
            f"--rounds and --runs must be at least 1. Received: {rounds} and {runs}"
        )
    data = {name: read_model(path) for name, path in models.items()}
    with tempfile.TemporaryDirectory() as folder:
        peaks = write_peak_models(pathlib.Path(folder))
        macs = {name: count_file_macs(model) for name, model in data.items()}
        macs |= {key: count_file_macs(path.read_bytes()) for key, path in peaks.items()}
        found = _rounds({**models, **peaks}, rounds, runs)
    rows = []
    for threads in THREADS:
        speed = {
            name: macs[name] / _median(found[name, threads], "latency_ms") / 1e6
            for name in macs
        }
        peak = max(speed[key] for key in peaks)
        rows += [
            _row(name, len(data[name]), found[name, threads], speed[name], peak)
            for name in models
        ]
    return sorted(rows, key=lambda row: (row["network"], row["threads"]))


def _rounds(paths, rounds, runs):
    found = {(name, threads): [] for name in paths for threads in THREADS}
    for _ in range(rounds):
        for (name, threads), measured in found.items():
            # Bundles too: the process finds out.
            measured.append(measure_artifact(paths[name], "tflite", threads, runs))
    return found


def _median(measured, field):
    return statistics.median(getattr(m, field) for m in measured)


def _row(name, size, measured, speed, peak):
    times = [m.latency_ms for m in measured]
    first = measured[0]
    return {
        "network": name,
        "threads": first.threads,
        "latency_ms": round(_median(measured, "latency_ms"), 3),
        "fastest_round_ms": round(min(times), 3),
        "slowest_round_ms": round(max(times), 3),
        "rounds": len(measured),
        "runs": first.runs,
        "peak_memory_mb": round(_median(measured, "peak_memory_mb"), 1),
        "bytes": size,
        "gmacs_per_s": round(speed, 2),
        "int8_peak": round(peak, 2),
        "share_of_peak": round(speed / peak, 4),
        "operators": first.operators,
        "delegated": first.delegated,
        "partitions": first.partitions,
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    models: tuple[str, ...] = option("files or bundles", metavar="NAME=PATH")
    out: pathlib.Path = option("latency.csv")
    rounds: int = option("through all models", 7)
    runs: int = option("inferences in a round", 30)


def run(options):
    models = pairs(options.models)
    if options.out.exists():
        raise ValueError(f"{options.out}: already there; give another --out.")
    rows = measure_models(models, options.rounds, options.runs)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(options.out, [row | {"cpu": cpu_name()} for row in rows])
    print(options.out)


main = command("frontier measure", __doc__, Options, run)
