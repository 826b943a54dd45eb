"""What a figure was measured on."""

import os
import pathlib
import platform


def cpu_name() -> str:
    """Returns what the system calls this CPU, and its number of cores."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next(x for x in lines if x.startswith("model name")).split(":")[1]
    except (OSError, StopIteration):  # not Linux
        name = platform.processor() or platform.machine()
    return f"{name.strip()}, {os.cpu_count()} cores"
