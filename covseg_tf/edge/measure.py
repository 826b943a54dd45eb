"""Speed, memory and delegate of a TFLite file, on the device that runs this.

    python -m covseg_tf.edge.measure MODEL [--threads 1] [--runs 50]

MODEL is a `.tflite` file, a bundle or a bundled model's name. Prints one line of
JSON. A process of its own for each model: peak memory only ever grows.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time

import numpy as np

from covseg_tf.edge.bundle import load_bundle


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one process measured of one model.

    Attributes:
        threads: Threads of the interpreter.
        runs: Inferences that were timed, after 5 that were not.
        load_ms: Milliseconds from the file's bytes to the first result.
        latency_ms: Median milliseconds of an inference.
        latency_p90_ms: 90th percentile.
        peak_memory_mb: Peak resident memory of the process, Python and all, in
            megabytes; 0 where the system does not tell.
        operators: Operators in the file.
        delegated: How many of them XNNPACK runs.
        partitions: Into how many pieces it cuts them; each border copies.
    """

    threads: int
    runs: int
    load_ms: float
    latency_ms: float
    latency_p90_ms: float
    peak_memory_mb: float
    operators: int = 0
    delegated: int = 0
    partitions: int = 0

    @classmethod
    def of_times(
        cls, threads: int, load_ms: float, times: list[float], *coverage: int
    ) -> "Measurement":
        """Returns the measurement of timed inferences, with this process's memory.

        Args:
            threads: Threads of the interpreter.
            load_ms: Milliseconds to the first result.
            times: Milliseconds of each inference.
            *coverage: Operators, delegated, partitions; none but for TFLite.
        """
        return cls(
            threads,
            len(times),
            load_ms,
            float(np.median(times)),
            float(np.percentile(times, 90)),
            peak_memory_mb(),
            *coverage,
        )


def measure(model: bytes, threads: int = 1, runs: int = 50) -> Measurement:
    """Times a TFLite file on a constant grey image.

    Args:
        model: Bytes of the file.
        threads: Int >= 1, threads of the interpreter.
        runs: Int >= 1, inferences to time.

    Returns:
        A `Measurement`; its memory is this whole process's.

    Raises:
        ValueError: If an argument is below 1, or LiteRT cannot load the file.
    """
    from ai_edge_litert.interpreter import Interpreter

    if threads < 1 or runs < 1:
        raise ValueError(
            "`threads` and `runs` must be at least 1. Received: "
            f"threads={threads}, runs={runs}"
        )
    start = time.perf_counter()
    try:
        interpreter = Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"LiteRT cannot load the model: {error}") from None
    for tensor in interpreter.get_input_details():
        middle = 0.5 if np.dtype(tensor["dtype"]).kind == "f" else 0
        image = np.full(tensor["shape"], middle, tensor["dtype"])
        interpreter.set_tensor(tensor["index"], image)
    interpreter.invoke()
    load_ms = 1000 * (time.perf_counter() - start)
    times = timed(interpreter.invoke, runs)
    return Measurement.of_times(threads, load_ms, times, *_coverage(interpreter))


def timed(call, runs: int) -> list[float]:
    """Returns the milliseconds of each of `runs` calls, after 5 untimed ones."""
    times = []
    for number in range(runs + 5):
        start = time.perf_counter()
        call()
        if number >= 5:
            times.append(1000 * (time.perf_counter() - start))
    return times


def peak_memory_mb() -> float:
    """Returns the peak resident memory of this process in megabytes, or 0."""
    try:
        # Not getrusage: its figure starts at that of the process that forked this.
        status = pathlib.Path("/proc/self/status").read_text("ascii", "replace")
        line = next(x for x in status.splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS: bytes


def _coverage(interpreter):
    # LiteRT tells of its delegates only here: a DELEGATE node stands for the nodes
    # between its outputs and its inputs, which stay listed.
    nodes = interpreter._get_ops_details()
    own = [node for node in nodes if node["op_name"] != "DELEGATE"]
    partitions = [node for node in nodes if node["op_name"] == "DELEGATE"]
    maker = {tensor: i for i, node in enumerate(own) for tensor in node["outputs"]}
    covered = set()
    for partition in partitions:
        borders = set(partition["inputs"])
        open_tensors = list(partition["outputs"])
        while open_tensors:
            tensor = open_tensors.pop()
            node = maker.get(tensor)
            if tensor in borders or node is None or node in covered:
                continue
            covered.add(node)
            open_tensors.extend(own[node]["inputs"])
    return len(own), len(covered), len(partitions)


def main(arguments=None) -> int:
    """Runs the command.

    Args:
        arguments: Command-line words; `None` takes those of the process.

    Returns:
        Exit code: 0, or 2 for bad input.
    """
    parser = argparse.ArgumentParser(prog="covseg_tf.edge.measure")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args(arguments)
    try:
        path = pathlib.Path(options.model)
        if path.suffix == ".tflite" and path.is_file():
            model = path.read_bytes()
        else:
            model = load_bundle(options.model).model
        print(
            json.dumps(
                dataclasses.asdict(measure(model, options.threads, options.runs))
            )
        )
    except ValueError as error:
        print(f"covseg_tf.edge.measure: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
