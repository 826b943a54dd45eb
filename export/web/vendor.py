"""Fetches the page's libraries from npm again, at the versions named here.

    python export/web/vendor.py

Needs npm and the network; everything else works without either. Writes
`covseg_tf/web/page/vendor/` and, in it, `VENDORED.md` with the checksums.
"""

import argparse
import gzip
import hashlib
import pathlib
import subprocess
import tarfile
import tempfile

PACKAGES = {
    "@litertjs/core": "2.5.3",
    "@litertjs/wasm-utils": "2.5.3",
    "dicom-parser": "1.8.21",
    "@cornerstonejs/codec-openjpeg": "1.3.6",
    "@cornerstonejs/codec-charls": "1.2.7",
}
_VENDOR = pathlib.Path(__file__).resolve().parents[2] / "covseg_tf/web/page/vendor"
_RUNTIME = "litert_wasm_compat_internal"
# A bare module name needs an import map, which a strict policy forbids inline; and
# the page computes without a GPU, so it does not ask for one.
_CHANGES = {
    'from "@litertjs/wasm-utils"': 'from "./wasm-utils.js"',
    "await Environment.create()": "await Environment.create({ webGpuDevice: null })",
}
# Decoders alone, as modules: a worker loads them when a file needs them.
_CODECS = {"openjpeg": "OpenJPEGWASM", "charls": "CharLSWASM"}
_APACHE = pathlib.Path(__file__).resolve().parents[2] / "LICENSE"


def fetch(name: str, version: str, folder: pathlib.Path) -> pathlib.Path:
    """Downloads and unpacks an npm package.

    Args:
        name: The package's name on npm.
        version: Its exact version.
        folder: Where to put it; must exist.

    Returns:
        The folder with the package's files.
    """
    command = ["npm", "pack", "--silent", f"{name}@{version}"]
    result = subprocess.run(command, cwd=folder, check=True, capture_output=True)
    archive = folder / result.stdout.decode().split()[-1]
    target = folder / archive.stem
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
    return target / "package"


def main() -> None:
    """Writes the vendored files."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        core, utils, dicom, *codecs = (
            fetch(name, version, pathlib.Path(folder))
            for name, version in PACKAGES.items()
        )
        script = (core / "dist/index.js").read_text("utf-8")
        files["litert/index.js"] = _localize(script).encode()
        files["litert/wasm-utils.js"] = _unmapped(
            (utils / "dist/index.js").read_text("utf-8")
        ).encode()
        files[f"litert/{_RUNTIME}.js"] = (core / f"wasm/{_RUNTIME}.js").read_bytes()
        # Packed in the repository; `covseg web` and build.py hand it out as it was.
        files[f"litert/{_RUNTIME}.wasm.gz"] = gzip.compress(
            (core / f"wasm/{_RUNTIME}.wasm").read_bytes(), 9, mtime=0
        )
        files["litert/LICENSE"] = _APACHE.read_bytes()
        files["dicom-parser/dicomParser.min.js"] = _unmapped(
            (dicom / "dist/dicomParser.min.js").read_text("utf-8")
        ).encode()
        files["dicom-parser/LICENSE"] = (dicom / "LICENSE").read_bytes()
        for (name, factory), codec in zip(_CODECS.items(), codecs, strict=True):
            files |= _codec_files(name, factory, codec)
    for name, data in files.items():
        path = _VENDOR / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (_VENDOR / "VENDORED.md").write_text(_note(files), "utf-8")


def _codec_files(name, factory, codec):
    script = (codec / f"dist/{name}wasm_decode.js").read_text("utf-8")
    wasm = (codec / f"dist/{name}wasm_decode.wasm").read_bytes()
    library = pathlib.Path(__file__).parent / f"licences/{name}.txt"  # npm has none
    files = {
        f"codecs/LICENSE.{name}": library.read_bytes(),
        f"codecs/{name}.js": f"{_unmapped(script)}export default {factory};\n".encode(),
        f"codecs/{name}.wasm.gz": gzip.compress(wasm, 9, mtime=0),
    }
    if (codec / "LICENSE").is_file():  # one for both, by who built them
        files["codecs/LICENSE.cornerstone"] = (codec / "LICENSE").read_bytes()
    return files


def _localize(script):
    for old, new in _CHANGES.items():
        if script.count(old) != 1:
            raise ValueError(f"index.js holds {old} {script.count(old)} times, not 1.")
        script = script.replace(old, new)
    return _unmapped(script)


def _unmapped(script):
    lines = script.splitlines()
    kept = [line for line in lines if not line.startswith("//# sourceMappingURL=")]
    return "\n".join(kept) + "\n"


def _note(files):
    packages = "\n".join(f"- {name} {version}" for name, version in PACKAGES.items())
    rows = "\n".join(
        f"| `{name}` | {len(data)} | `{hashlib.sha256(data).hexdigest()}` |"
        for name, data in sorted(files.items())
    )
    return f"""# Vendored files

Written by `python export/web/vendor.py` from npm; do not edit by hand.

{packages}

LiteRT.js is Apache-2.0 (`litert/LICENSE`), dicom-parser MIT
(`dicom-parser/LICENSE`), Cornerstone's codecs MIT (`codecs/LICENSE.cornerstone`),
with CharLS (BSD-3-Clause) and OpenJPEG (BSD-2-Clause) in them. Changed: the codecs'
scripts export their factory, as modules do; in `litert/index.js` one import names
`./wasm-utils.js` instead of the package, and no WebGPU device is asked for;
source-map comments are gone; the WebAssembly file is packed with gzip. Of
LiteRT.js's four builds this is the one without threads and relaxed SIMD: it needs
no cross-origin isolation and computes the same numbers everywhere.

| file | bytes | SHA-256 |
|---|---:|---|
{rows}
"""


if __name__ == "__main__":
    main()
