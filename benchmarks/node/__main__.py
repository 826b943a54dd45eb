"""Films per second of `covseg node` against `covseg triage` on the same files.

    python -m benchmarks.node [--films 300] [--jobs 2]

Draws phantoms as CR films (512 px), scores them with `covseg triage`, without and with
`--dicom`, then sends them with DCMTK's `storescu`, its settings untouched, to a node
without destinations and waits for the last result. Starts are not counted: a run of
few films is taken off, the node gets one film before. CPU seconds are those of all
processes of an arm; they hardly depend on what else the machine does. Needs DCMTK and
Linux. Time: 3 to 10 minutes.
"""

import dataclasses
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from covseg_tf.edge import draw_phantom
from covseg_tf.options import command, option

FEW = 10
SYSTEM = "/usr/local/bin:/usr/bin"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    films: int = option("how many", 300)
    jobs: int = option("processes of the node that score", 2)
    port: int = option("for the node, on 127.0.0.1", 21112)


def draw_films(folder, count):
    """Writes phantoms as CR films, each in a study of its own."""
    import pydicom
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

    for seed in range(count):
        image = draw_phantom(seed % 100, 0.05 * (seed % 16), 512).image
        film = pydicom.Dataset()
        film.SOPClassUID = ComputedRadiographyImageStorage
        film.Modality, film.PatientID, film.ViewPosition = "CR", f"P-{seed}", "PA"
        for number, level in enumerate(("SOP", "Study", "Series")):
            setattr(film, f"{level}InstanceUID", f"2.25.26.{seed}.{number + 1}")
        film.Rows, film.Columns = image.shape
        film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
        film.BitsAllocated, film.BitsStored, film.HighBit = 8, 8, 7
        film.PixelRepresentation, film.PixelData = 0, image.tobytes()
        film.file_meta = pydicom.dataset.FileMetaDataset()
        film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        film.save_as(folder / f"{seed:05}.dcm", enforce_file_format=True)


def cpu():
    """Returns the CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def covseg(*words, **settings):
    return subprocess.Popen(
        [sys.executable, "-m", "covseg_tf.cli", *map(str, words)], **settings
    )


def run_triage(paths, *flags):
    """Returns wall and CPU seconds of a run."""
    start, before = time.perf_counter(), cpu()
    with tempfile.TemporaryDirectory() as out:
        words = ["triage", *paths, "--out", out, "--quiet", *flags]
        if covseg(*words).wait():
            raise RuntimeError("covseg triage failed")
        return time.perf_counter() - start, cpu() - before


def triage_seconds(paths, *flags):
    """Returns wall and CPU seconds per film, without the start."""
    many, few = run_triage(paths, *flags), run_triage(paths[:FEW], *flags)
    return [(m - f) / (len(paths) - FEW) for m, f in zip(many, few, strict=True)]


def node_seconds(paths, options):
    """Returns seconds per film until sent and until scored, and CPU seconds."""
    first, *others = paths
    with tempfile.TemporaryDirectory() as store:
        words = ["--port", options.port, "--page-port", 0, "--jobs", options.jobs]
        before = cpu()
        node = covseg("node", store, *words, stdout=subprocess.PIPE)
        try:
            node.stdout.readline()
            send(first, options.port)
            wait_for(store, 1)
            start = time.perf_counter()
            send(*others, options.port)
            sent = time.perf_counter() - start
            wait_for(store, len(paths))
            scored = time.perf_counter() - start
        finally:
            node.terminate()
            node.wait()
            node.stdout.close()
    return [x / len(others) for x in (sent, scored, cpu() - before)]


def send(*words):
    *paths, port = words
    program = shutil.which("storescu", path=SYSTEM)
    call = [program, "-aec", "COVSEG", "127.0.0.1", str(port), *map(str, paths)]
    subprocess.run(call, check=True, capture_output=True)


def wait_for(store, count):
    while len(list(pathlib.Path(store).glob("cases/*/result.json"))) < count:
        time.sleep(0.1)


def run(options: Options) -> None:
    """Prints films per second and CPU milliseconds per film."""
    if not shutil.which("storescu", path=SYSTEM):
        raise ValueError("storescu is missing; apt-get install dcmtk")
    with tempfile.TemporaryDirectory() as folder:
        draw_films(pathlib.Path(folder), options.films)
        paths = sorted(pathlib.Path(folder).iterdir())
        plain = triage_seconds(paths)
        dicom = triage_seconds(paths, "--dicom")
        sent, scored, used = node_seconds(paths, options)
    rows = {
        "covseg triage": plain,
        "covseg triage --dicom": dicom,
        f"covseg node, {options.jobs} jobs": (scored, used),
    }
    print("| | films/s | CPU ms a film | of covseg triage |\n|---|---|---|---|")
    for name, (wall, spent) in rows.items():
        print(
            f"| {name} | {1 / wall:.1f} | {1000 * spent:.0f} | {plain[0] / wall:.2f} |"
        )
    print(f"\nstorescu alone: {1 / sent:.1f} films/s until acknowledged")


main = command("benchmarks.node", __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
