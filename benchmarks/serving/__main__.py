"""Load and random bytes against `covseg serve`: failures, latency, memory.

    python -m benchmarks.serving [--clients 8] [--seconds 60] [--fuzz 10000]

Starts the server in a process of its own, lets locust send it one phantom as
base64 PNG (`encoded_image_to_png`) from all clients without a pause, then sends
random byte strings: as bodies, as image files, and as PNG files with flipped
bytes. Exits 1 if a request failed, the server died, or a random string was
answered by anything but a prediction or a JSON error.

locust may live in another environment: `--locust /path/to/locust`. Needs Linux
(memory is read from /proc). Time: about 3 minutes.
"""

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile

import cv2
import requests

from covseg_tf.edge import draw_phantom
from covseg_tf.options import command, option

_LOCUSTFILE = pathlib.Path(__file__).with_name("locustfile.py")
_SIGNATURE = "encoded_image_to_png"


@contextlib.contextmanager
def serve(model="xray", *words):
    """Yields `(process, url)` of a server on a free port."""
    command = [sys.executable, "-m", "covseg_tf.cli", "serve", str(model)]
    process = subprocess.Popen(
        [*command, "--port", "0", *words], stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        if "http://" not in line:
            raise SystemExit(f"covseg serve did not start: {line!r}")
        yield process, line[line.index("http://") :].split()[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def resident_megabytes(process):
    """Returns the resident memory of a process."""
    pages = pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def body_of(data):
    """Returns the JSON of a request for one image file."""
    instances = [{"b64": base64.b64encode(data).decode()}]
    return json.dumps({"signature_name": _SIGNATURE, "instances": instances}).encode()


def phantom_png(size=512):
    """Returns a phantom as a PNG file."""
    image = draw_phantom(seed=1, severity=0.4, size=size).image
    return cv2.imencode(".png", image)[1].tobytes()


def load(url, model, clients, seconds, locust):
    """Runs locust; returns requests, failures, requests/s and milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        body = pathlib.Path(folder) / "body.json"
        body.write_bytes(body_of(phantom_png()))
        path = f"/v1/models/{model}:predict"
        settings = {"COVSEG_LOAD_BODY": str(body), "COVSEG_LOAD_PATH": path}
        words = ["-f", _LOCUSTFILE, "--headless", "--host", url, "--json"]
        words += ["-u", clients, "-r", clients, "-t", f"{seconds}s", "--only-summary"]
        result = subprocess.run(
            [locust, *map(str, words)],
            env=os.environ | settings,
            capture_output=True,
            text=True,
        )
    # locust exits 1 when requests failed: the figures say so too.
    if result.returncode not in (0, 1) or not result.stdout.strip():
        raise SystemExit(f"locust ended with {result.returncode}: {result.stderr}")
    return summarize(json.loads(result.stdout)[0], seconds)


def summarize(stats, seconds):
    """Returns the figures of locust's entry for one address."""
    times = sorted((float(ms), count) for ms, count in stats["response_times"].items())
    return {
        "requests": stats["num_requests"],
        "failures": stats["num_failures"],
        "requests_per_second": stats["num_requests"] / seconds,
        "milliseconds": {
            f"p{share}": percentile(times, share) for share in (50, 90, 99)
        },
    }


def percentile(times, share):
    """Returns a percentile of sorted `(milliseconds, count)` pairs."""
    wanted = share / 100 * sum(count for _, count in times)
    for milliseconds, count in times:
        wanted -= count
        if wanted <= 0:
            return milliseconds
    return None


def random_body(rng, image):
    """Returns random bytes: a body, an image file, or a PNG with flipped bytes."""
    kind = rng.randrange(3)
    data = rng.randbytes(rng.randrange(2048))
    if kind == 0:
        return data
    if kind == 1:
        start = rng.choice([b"", image[:8], image[:33], b"\xff\xd8\xff\xe0"])
        return body_of(start + data)
    damaged = bytearray(image)
    for _ in range(rng.randrange(1, 8)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return body_of(bytes(damaged))


def fuzz(url, model, count, seed=0):
    """Sends random byte strings; returns the number of each HTTP status.

    Raises:
        SystemExit: If an answer is neither a prediction nor a JSON error.
    """
    rng, image, statuses = random.Random(seed), phantom_png(128), {}
    with requests.Session() as session:
        for index in range(count):
            body = random_body(rng, image)
            answer = session.post(f"{url}/v1/models/{model}:predict", body, timeout=30)
            key = "predictions" if answer.status_code == 200 else "error"
            if set(answer.json()) != {key} or answer.status_code >= 500:
                raise SystemExit(
                    f"string {index} of seed {seed}: HTTP {answer.status_code}, "
                    f"{answer.text[:200]}"
                )
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
    return statuses


def measure(bundle, clients, seconds, count, locust, model=None):
    """Returns all figures of one server's life."""
    model = model or pathlib.Path(bundle).name
    with serve(bundle, "--name", model) as (process, url):
        for _ in range(50):  # buffers and threads are there before the first reading
            body = body_of(phantom_png())
            requests.post(f"{url}/v1/models/{model}:predict", body, timeout=30)
        memory = {"before": resident_megabytes(process)}
        figures = {"clients": clients, "seconds": seconds}
        if seconds:
            figures["load"] = load(url, model, clients, seconds, locust)
            memory["after_load"] = resident_megabytes(process)
        if count:
            # The first strings fill caches of their own: grown is what counts.
            fuzz(url, model, min(count, 500), seed=1)
            memory["before_random_bytes"] = resident_megabytes(process)
            figures["random_bytes"] = fuzz(url, model, count)
            memory["after_random_bytes"] = resident_megabytes(process)
        figures["alive"] = process.poll() is None
    figures["exit_code"] = process.returncode
    return figures | {"resident_megabytes": memory}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: str = option("as `covseg serve` takes it", "xray")
    clients: int = option("at once", 8)
    seconds: int = option("of load; 0 for none", 60)
    fuzz: int = option("random byte strings; 0 for none", 10000)
    locust: str = option("its command", "locust")
    out: pathlib.Path | None = option("file for the JSON", None)


def run(options):
    figures = measure(
        options.model, options.clients, options.seconds, options.fuzz, options.locust
    )
    text = json.dumps(figures, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", "utf-8")
    failures = figures.get("load", {}).get("failures", 0)
    return int(failures > 0 or not figures["alive"] or figures["exit_code"] != 0)


main = command("serving", __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
