"""What the readers of `covseg triage` do with damaged and hostile files.

    python tests/damaged_files.py --inputs 50000 --seed 0

Whole files of every format are mutated (bits, lengths, cuts, splices) and read.
Each must give films or volumes, or a `ValueError` with its reason; anything
else ends the run with the input saved beside it. Prints one line of JSON. Two
to five minutes on one core.
"""

import argparse
import collections
import gzip
import io
import json
import pathlib
import resource
import struct
import sys
import time
import zipfile
import zlib

import cv2
import numpy as np

from covseg_tf.edge import draw_phantom
from covseg_tf.imaging import Film, Volume, bytes_sources

# Frames of one input that are read: a header may state a thousand.
MOST_SOURCES = 4
# Lengths that break what adds or multiplies them.
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 100_001)
_SYNTAXES = {
    "plain": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "rle": "1.2.840.10008.1.2.5",
    "deflated": "1.2.840.10008.1.2.1.99",
    "jpeg": "1.2.840.10008.1.2.4.50",
}


def draw_seeds(side: int = 64, folder: str | None = None) -> dict[str, bytes]:
    """Returns whole files of every format, by name.

    Args:
        side: Side of the drawn films in pixels.
        folder: Folder of real images to add three of; `None` for none.
    """
    film = draw_phantom(0, 0.4, side).image
    deep = film.astype(np.uint16) * 257
    colour = np.dstack([film, film // 2, film])
    seeds = _images(film, deep, colour)
    seeds |= {f"dicom_{name}": dicom(film, name) for name in _SYNTAXES}
    seeds["dicom_deep"] = dicom(deep, "plain", WindowCenter=9000, WindowWidth=9000)
    seeds["dicom_frames"] = dicom(np.stack([film, film]), "rle")
    seeds["dicom_ct"] = dicom(
        deep // 32, "plain", Modality="CT", RescaleIntercept=-1024
    )
    seeds |= _volumes(film)
    seeds["zip"] = _archive(seeds, "png", "jpeg", "dicom_rle")
    seeds["zip_ct"] = _archive(seeds, "dicom_ct", "nifti_gz")
    real = sorted(pathlib.Path(folder).rglob("*.png"))[:3] if folder else []
    seeds |= {f"real_{n}": path.read_bytes() for n, path in enumerate(real)}
    return seeds


def _images(film, deep, colour):
    def encode(suffix, image, *words):
        return cv2.imencode(suffix, image, list(words))[1].tobytes()

    pages = cv2.imencodemulti(".tif", [film, film[:40]])[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    jpeg = encode(".jpg", film)
    turned = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return {
        "png": encode(".png", film),
        "png_deep": encode(".png", deep),
        "png_colour": encode(".png", np.dstack([colour, film])),
        "jpeg": jpeg,
        "jpeg_progressive": encode(".jpg", colour, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        "jpeg_turned": jpeg[:2] + turned + jpeg[2:],
        "bmp": encode(".bmp", film),
        "webp": encode(".webp", colour, cv2.IMWRITE_WEBP_QUALITY, 80),
        "webp_lossless": encode(".webp", film),
        "tiff": encode(".tif", film, cv2.IMWRITE_TIFF_COMPRESSION, 5),
        "tiff_plain": encode(".tif", deep, cv2.IMWRITE_TIFF_COMPRESSION, 1),
        "tiff_float": encode(".tif", film.astype(np.float32) / 255),
        "tiff_pages": pages,
    }


def dicom(pixels: np.ndarray, packing: str, **fields) -> bytes:
    """Returns a DICOM file of a radiograph.

    Args:
        pixels: uint8 or uint16, `(rows, columns)` or `(frames, rows, columns)`.
        packing: Key of the transfer syntaxes above.
        **fields: Elements to set besides.
    """
    from pydicom import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, CTImageStorage, RLELossless

    dataset, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = UID(_SYNTAXES[packing])
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4"
    dataset.file_meta = meta
    dataset.Modality, dataset.SeriesInstanceUID = "DX", "1.2.3"
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.NumberOfFrames = len(pixels) if pixels.ndim == 3 else 1
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    view = Dataset()
    view.CodeValue, view.CodeMeaning = "R-10206", "antero-posterior"
    dataset.ViewCodeSequence = [view]
    dataset.ImagePositionPatient, dataset.PixelSpacing = [0, 0, 5], [0.7, 0.7]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    if packing == "jpeg":
        code = cv2.imencode(".jpg", pixels)[1].tobytes()
        dataset.PixelData = encapsulate([code])
        dataset["PixelData"].is_undefined_length = True
    elif packing == "rle":
        meta.TransferSyntaxUID = UID(_SYNTAXES["plain"])
        dataset.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _volumes(film):
    import nibabel

    values = np.repeat(film[::2, ::2, None].astype(np.int16) * 8 - 1024, 4, axis=2)
    affine = np.diag([-0.7, 0.7, 5.0, 1.0])
    plain = nibabel.Nifti1Image(values, affine).to_bytes()
    second = nibabel.Nifti2Image(values.astype(np.float32), affine).to_bytes()
    return {"nifti": plain, "nifti_gz": gzip.compress(plain), "nifti_2": second}


def _archive(seeds, *names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(f"a/{name}.{name.split('_')[0]}", seeds[name])
        archive.writestr("b/film.png", seeds["png"], zipfile.ZIP_STORED)
    return stream.getvalue()


def mutate(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    """Returns a damaged copy.

    Args:
        rng: What chooses the damage.
        data: A file.
        other: Another file, to splice in.
    """
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        # Headers decide: half of the damage falls on the first 512 bytes.
        reach = len(damaged) if rng.random() < 0.5 else min(512, len(damaged))
        place = int(rng.integers(0, max(1, reach)))
        _damage(rng, damaged, place, other)
    return bytes(damaged)


def reseal(
    rng: np.random.Generator,
    name: str,
    data: bytes,
    seeds: dict[str, bytes],
    other: bytes,
) -> bytes:
    """Returns a damaged file with good checksums, so that decoders see the damage.

    Args:
        rng: What chooses the damage.
        name: Key of `seeds`.
        data: The damaged file.
        seeds: All whole files.
        other: Another file, to splice in.
    """
    if name.startswith("png"):
        return _mend_png(data)
    if name == "nifti_gz":
        return gzip.compress(mutate(rng, seeds["nifti"], other), 1)
    if name.startswith("zip"):
        member = ("png", "tiff", "dicom_ct", "nifti", "bmp")[int(rng.integers(5))]
        damaged = {member: mutate(rng, seeds[member], other)}
        return _archive(seeds | damaged, member)
    return data


def _mend_png(data):
    mended, place = bytearray(data), 8
    while place + 12 <= len(mended):
        end = place + 8 + struct.unpack_from(">I", mended, place)[0]
        if end + 4 > len(mended):
            break
        struct.pack_into(">I", mended, end, zlib.crc32(mended[place + 4 : end]))
        place = end + 4
    return bytes(mended)


def _damage(rng, damaged, place, other):
    kind = int(rng.integers(0, 7))
    if kind == 0 and damaged:
        damaged[place] ^= 1 << int(rng.integers(0, 8))
    elif kind == 1:
        damaged[place : place + 4] = rng.bytes(4)
    elif kind == 2:
        del damaged[place:]
    elif kind == 3:
        del damaged[place : place + int(rng.integers(1, 64))]
    elif kind == 4:
        damaged[place:place] = rng.bytes(int(rng.integers(1, 64)))
    elif kind == 5:
        number = _NUMBERS[int(rng.integers(0, len(_NUMBERS)))]
        order, width = "<>"[int(rng.integers(0, 2))], int(rng.choice([2, 4]))
        number &= (1 << 8 * width) - 1
        damaged[place : place + width] = struct.pack(
            f"{order}{'HI'[width // 4]}", number
        )
    else:
        start = int(rng.integers(0, max(1, len(other))))
        damaged[place : place + 32] = other[start : start + 32]


def read(name: str, data: bytes) -> str:
    """Reads an input as the command does.

    Args:
        name: Name of the input.
        data: The file.

    Returns:
        `"read"`, `"refused"`, or `"partly"` for some frames or members.

    Raises:
        AssertionError: If it gave anything but films, volumes or `ValueError`.
    """
    done = collections.Counter()
    for source in bytes_sources(name, data)[:MOST_SOURCES]:
        try:
            check(source.read())
            done["read"] += 1
        except ValueError as error:
            if not str(error):
                raise AssertionError("a reason without words") from error
            done["refused"] += 1
    return next(iter(done)) if len(done) == 1 else "partly" if done else "refused"


def check(image: Film | Volume) -> None:
    """Holds what was read to what `Film` and `Volume` promise.

    Args:
        image: What a source gave.

    Raises:
        AssertionError: If it is not so.
    """
    if isinstance(image, Film):
        assert image.pixels.dtype == np.uint8
        assert image.pixels.ndim == 2
        assert image.pixels.size
        whole = image.mask_to_file(np.ones(image.pixels.shape, bool))
        assert whole.shape == image.shape
        assert whole.sum() == image.pixels.size
    else:
        assert isinstance(image, Volume)
        assert image.slices.dtype == np.uint8
        assert image.slices.ndim == 3
        assert image.slices.size
        assert image.spacing is None or min(image.spacing) > 0
        assert image.dicom is None or len(image.dicom) == len(image.slices)


def run(inputs: int, seed: int = 0, folder: str | None = None) -> dict:
    """Reads so many damaged files, and returns counts, times and memory.

    Args:
        inputs: How many.
        seed: Seed of the damage.
        folder: As in `draw_seeds`.

    Raises:
        AssertionError: With the input's number, at the first that surprises.
    """
    rng, seeds = np.random.default_rng(seed), draw_seeds(folder=folder)
    names, counts = list(seeds), collections.Counter()
    by_format = {name: collections.Counter() for name in names}
    slowest, before = (0.0, ""), peak_megabytes()
    start = time.perf_counter()
    for number in range(inputs):
        name = names[number % len(names)]
        other = seeds[names[int(rng.integers(len(names)))]]
        data = mutate(rng, seeds[name], other)
        if rng.random() < 0.7:
            data = reseal(rng, name, data, seeds, other)
        begin = time.perf_counter()
        try:
            outcome = read(name, data)
        except Exception as error:
            path = pathlib.Path(f"fuzz_{seed}_{number}.bin")
            path.write_bytes(data)
            raise AssertionError(f"input {number} ({name}), saved as {path}") from error
        slowest = max(slowest, (time.perf_counter() - begin, f"{name} {number}"))
        counts[outcome] += 1
        by_format[name][outcome] += 1
    return {
        "inputs": inputs,
        "seed": seed,
        "formats": len(names),
        **{key: counts[key] for key in ("read", "partly", "refused")},
        "seconds": round(time.perf_counter() - start, 1),
        "slowest_ms": round(1000 * slowest[0], 1),
        "slowest": slowest[1],
        "peak_mb": round(peak_megabytes()),
        "peak_mb_before": round(before),
        "read_by_format": {name: by_format[name]["read"] for name in names},
    }


def peak_megabytes() -> float:
    """Returns the most memory that the process ever held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="folder of real images to add to the seeds")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="address space")
    options = parser.parse_args()
    limit = int(options.gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print(json.dumps(run(options.inputs, options.seed, options.data)))


if __name__ == "__main__":
    main()
