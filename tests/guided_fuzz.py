"""Coverage-guided damage: what reaches new lines of Python is damaged further.

    python tests/guided_fuzz.py readers --runs 200000
    python tests/guided_fuzz.py records --runs 50000

`readers` are the films' formats; `records` the journal, bundle.json, models.config,
and bodies of `:predict` over REST and gRPC. Checksums are mended after the damage (PNG,
gzip, zip, the manifest's own), lengths of DICOM elements too. Ends at the first input
that gives anything but a result or a refusal, takes 2 s of the processor or 300 MB; it
is left as crash-*, and read again by naming the file. Prints one line of JSON. Needs
`pip install ".[fuzz]"`.
"""

import argparse
import base64
import contextlib
import gzip
import io
import json
import os
import pathlib
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib

import atheris

# Only what is imported in here is watched. The tests' own modules are not.
with atheris.instrument_imports(include=["covseg_tf", "pydicom", "zipfile", "gzip"]):
    import pydicom  # noqa: F401

    import covseg_tf.imaging
    import covseg_tf.triage.record  # noqa: F401
    from covseg_tf.edge import bundle as bundles

import damaged_files

MOST_SECONDS, MOST_MEGABYTES = 2.0, 300
# Names of bodies; the first byte of an input says which one it is.
RECORDS = ("journal", "bundle", "models_config", "json", "grpc")
_HEADER = {"model_sha256": "0", "threshold": 0.5, "covseg_version": "1"}


# === Damage that keeps checksums and lengths good ===


def damage(data: bytes, most: int, seed: int) -> bytes:
    """Returns a damaged copy of a film, a volume or an archive."""
    if data[:2] == b"\x1f\x8b" and seed % 8:
        with contextlib.suppress(OSError, EOFError, zlib.error):
            return gzip.compress(damage(gzip.decompress(data), most, seed // 8), 1)
    if data[:2] == b"PK" and seed % 4:
        with contextlib.suppress(Exception):
            return _in_archive(data, most, seed // 4)
    if data[128:132] == b"DICM" and seed % 4:
        return _in_element(data, seed // 4)
    data = atheris.Mutate(data, most)
    return damaged_files._mend_png(data) if data[:4] == b"\x89PNG" else data


def _in_archive(data, most, seed):
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        members = old.infolist()
        chosen = members[seed % len(members)]
        for member in members:
            held = old.read(member)
            if member is chosen:
                held = damage(held, most, seed // 7)
            new.writestr(member, held)
    return stream.getvalue()


def _in_element(data, seed):
    """Damages the value of one element, and states its new length."""
    places, place = [], 132
    while place + 8 <= len(data) and len(places) < 200:
        long = data[place + 4 : place + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT")
        start = place + (12 if long else 8)
        if start > len(data):
            break
        (length,) = struct.unpack_from(
            "<I" if long else "<H", data, start - 4 + 2 * (not long)
        )
        if start + length > len(data):
            break
        places.append((start, length, long))
        place = start + length
    if not places:
        return atheris.Mutate(data, len(data) + 64)
    start, length, long = places[seed % len(places)]
    value = atheris.Mutate(data[start : start + length], length + 32)
    value += b" " * (len(value) % 2)
    size = struct.pack("<I" if long else "<H", len(value))
    return data[: start - len(size)] + size + value + data[start + length :]


# === What is read ===


class Readers:
    """Films, volumes and archives of them, as `covseg triage` reads them."""

    def seeds(self):
        return list(damaged_files.draw_seeds().values())

    def mutate(self, data, most, seed):
        return damage(data, most, seed)

    def read(self, data):
        return damaged_files.read("input", data)


class Records:
    """Text and messages that another program or person wrote."""

    def __init__(self, folder: pathlib.Path):
        from serving_servers import constant_servable

        self.folder = folder
        self.servable = constant_servable(size=4)
        self.model = bundles.bundled_models()["xray_nano"]
        for name in (bundles.MODEL, bundles.CARD, bundles.LICENSE):
            (folder / name).write_bytes((self.model / name).read_bytes())

    def seeds(self):
        import numpy as np
        from tensorflow_serving.apis import predict_pb2

        from covseg_tf.serving.wire.tensor_proto import array_to_proto
        from covseg_tf.triage.record.row import TriageRow

        header = {"format": "covseg_triage_journal", "format_version": 1} | _HEADER
        row = TriageRow(file="a.png").to_dict(decimals=None)
        entry = {"identity": "i", "stem": "a", "row": row}
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "tiny"
        request.inputs["image"].CopyFrom(
            array_to_proto(np.full((1, 4, 4, 1), 0.5, np.float32))
        )
        pixels = np.full((1, 4, 4, 1), 0.5).tolist()
        film = base64.b64encode(damaged_files.draw_seeds()["png"]).decode()
        named = {"image_bytes": {"b64": film}}
        config = (
            'model_config_list { config { name: "x" base_path: "m" model_platform: '
            '"tensorflow" model_version_policy { specific { versions: 2 } } '
            'version_labels { key: "stable" value: 2 } } }'
        )
        return [
            b"\0" + "\n".join(map(json.dumps, (header, entry, entry, ""))).encode(),
            b"\1" + (self.model / bundles.MANIFEST).read_bytes(),
            b"\2" + config.encode(),
            b"\3" + json.dumps({"instances": pixels}).encode(),
            b"\3" + json.dumps({"inputs": {"image": pixels}}).encode(),
            b"\3"
            + json.dumps(
                {"signature_name": "encoded_image_to_png", "instances": [named]}
            ).encode(),
            b"\4" + request.SerializeToString(),
        ]

    def mutate(self, data, most, seed):
        return data[:1] + atheris.Mutate(data[1:], most - 1)

    def read(self, data):
        name = RECORDS[data[0] % len(RECORDS)] if data else "json"
        try:
            getattr(self, name)(data[1:])
        except ValueError as error:
            if not str(error):
                raise AssertionError("a reason without words") from error
            return "refused"
        return "read"

    def journal(self, data):
        from covseg_tf.triage.record import journal

        path = self.folder / journal.JOURNAL
        path.write_bytes(data)
        (self.folder / journal.FINISHED).unlink(missing_ok=True)
        if not journal.is_journal(path):
            raise ValueError("not a journal, which is asked first")
        found = journal.Journal(self.folder, dict(_HEADER))
        assert all(isinstance(row.file, str) for _, _, row in found.done.values())
        found.close(finished=True)

    def bundle(self, data):
        with contextlib.suppress(ValueError, RecursionError):
            manifest = json.loads(data)
            if isinstance(manifest, dict):
                manifest["sha256"] = bundles.manifest_digest(manifest)
                data = json.dumps(manifest).encode()
        (self.folder / bundles.MANIFEST).write_bytes(data)
        bundles.load_bundle(self.folder)

    def models_config(self, data):
        from covseg_tf.serving.repository.models_config import read_models_config

        path = self.folder / "models.config"
        path.write_bytes(data)
        for config in read_models_config(path):
            config.pick({1, 2})

    def json(self, data):
        from covseg_tf.serving import ServingError
        from covseg_tf.serving.wire.json_predict import predict_json

        try:
            predict_json(self.servable, data)
        except ServingError as error:
            raise ValueError(str(error)) from None

    def grpc(self, data):
        from google.protobuf.message import DecodeError
        from tensorflow_serving.apis import predict_pb2

        from covseg_tf.serving import ServingError
        from covseg_tf.serving.grpc.server import _predict

        try:
            _predict(self.servable, predict_pb2.PredictRequest.FromString(data))
        except (ServingError, DecodeError) as error:
            raise ValueError(str(error)) from None


# === The run ===


class Run:
    """Counts, times and ends."""

    def __init__(self, target, runs):
        self.target, self.runs, self.done = target, runs, 0
        self.counts = {"read": 0, "partly": 0, "refused": 0}
        self.slowest, self.start = 0.0, time.perf_counter()
        self.before = damaged_files.peak_megabytes()

    def __call__(self, data):
        begin = time.process_time()
        self.counts[self.target.read(data)] += 1
        seconds = time.process_time() - begin
        self.slowest = max(self.slowest, seconds)
        grown = damaged_files.peak_megabytes() - self.before
        assert seconds < MOST_SECONDS, f"took {seconds:.1f} s of the processor"
        assert grown < MOST_MEGABYTES, f"the process grew by {grown:.0f} MB"
        self.done += 1
        if self.done == self.runs:
            self.tell()

    def tell(self):
        figures = {
            "runs": self.done,
            **self.counts,
            "seconds": round(time.perf_counter() - self.start),
            "slowest_ms": round(1000 * self.slowest),
            "grown_mb": round(damaged_files.peak_megabytes() - self.before),
        }
        print(json.dumps(figures), flush=True)
        os._exit(0)  # libFuzzer knows no other end that is none of a crash


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=("readers", "records"))
    parser.add_argument("inputs", nargs="*", help="files to read once, as crash-*")
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        target = Readers() if options.target == "readers" else Records(folder)
        for path in options.inputs:
            print(path, target.read(pathlib.Path(path).read_bytes()))
        if options.inputs:
            return
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(target.seeds()):
            (corpus / str(number)).write_bytes(seed)
            target.read(seed)
        run = Run(target, options.runs)
        words = [f"-seed={options.seed}", "-max_len=100000", "-len_control=0"]
        words += ["-rss_limit_mb=4096", "-timeout=3600", "-verbosity=0", str(corpus)]
        atheris.Setup([sys.argv[0], *words], run, custom_mutator=target.mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
