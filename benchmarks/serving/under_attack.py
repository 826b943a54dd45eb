"""A steady load of good films against `covseg serve`, alone and beside an attack.

    python -m benchmarks.serving.under_attack ATTACKS [--seconds 60] [--rate 4]

Every file of the folder ATTACKS is sent in turn as an image file, without a pause, by
each of `--attackers`, beside good films at a steady rate: the next is sent when its
time has come, whether or not those before it were answered. Prints, for the load alone
and for both, how many good films were answered and how many not, and the milliseconds
that half and 95 % of them took. Exits 1 if one was not answered or the server died.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import statistics
import sys
import threading
import time

import requests

from benchmarks.serving.__main__ import body_of, phantom_png, resident_megabytes, serve
from covseg_tf.options import argument, command, option

_PATH = "/v1/models/{}:predict"


def ask(url, body):
    """Returns `(status, milliseconds)`; status 0 for no answer."""
    start = time.perf_counter()
    try:
        status = requests.post(url, body, timeout=60).status_code
    except requests.RequestException:
        status = 0
    return status, 1000 * (time.perf_counter() - start)


def steady(url, seconds, rate):
    """Sends good films at a steady rate; returns what became of them."""
    body, start = body_of(phantom_png()), time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        jobs = []
        for number in range(round(seconds * rate)):
            time.sleep(max(0, start + number / rate - time.perf_counter()))
            jobs.append(pool.submit(ask, url, body))
        answers = [job.result() for job in jobs]
    times = sorted(milliseconds for status, milliseconds in answers if status == 200)
    return {
        "answered": len(times),
        "not_answered": len(answers) - len(times),
        "p50_ms": round(statistics.median(times)) if times else None,
        "p95_ms": round(times[int(0.95 * len(times))]) if times else None,
    }


@contextlib.contextmanager
def attack(url, bodies, attackers):
    """Sends bodies over and over meanwhile; yields the count of each status."""
    statuses: dict[int, int] = {}
    lock, over = threading.Lock(), threading.Event()

    def fire(first):
        number = first
        while not over.is_set():
            status, _ = ask(url, bodies[number % len(bodies)])
            number += 1
            with lock:
                statuses[status] = statuses.get(status, 0) + 1

    with concurrent.futures.ThreadPoolExecutor(attackers) as pool:
        for first in range(attackers):
            pool.submit(fire, first)
        try:
            yield statuses
        finally:
            over.set()


def measure(options):
    """Returns the figures of both."""
    paths = sorted(path for path in options.attacks.iterdir() if path.is_file())
    if not paths:
        raise ValueError(f"{options.attacks}: holds no file to attack with.")
    bodies = [body_of(path.read_bytes()) for path in paths]
    name = pathlib.Path(options.model).name
    with serve(options.model, "--name", name) as (process, base):
        url = base + _PATH.format(name)
        steady(url, 5, options.rate)
        found = {"alone": steady(url, options.seconds, options.rate)}
        before = resident_megabytes(process)
        with attack(url, bodies, options.attackers) as statuses:
            beside = steady(url, options.seconds, options.rate)
        found["beside_the_attack"] = beside
        found["attacks"] = {"files": [path.name for path in paths], **statuses}
        found["grown_mb"] = round(resident_megabytes(process) - before)
        found["alive"] = process.poll() is None
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    attacks: pathlib.Path = argument("folder of hostile image files")
    model: str = option("as `covseg serve` takes it", "xray")
    seconds: int = option("of either load", 60)
    rate: float = option("good films a second", 4.0)
    attackers: int = option("how many send hostile files at once", 2)


def run(options):
    found = measure(options)
    print(json.dumps(found, indent=2))
    lost = found["beside_the_attack"]["not_answered"] or not found["alive"]
    return int(bool(lost))


main = command("under_attack", __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
