"""Writes the browser page as a folder for any static web host.

    python export/web/build.py --model xray --out SITE

Takes 2 s and writes 12 MB: the page, LiteRT.js, the model, phantoms, and
SHA256SUMS. Serve it over HTTPS (camera, checksums and offline use need that), with
`.wasm` as `application/wasm`; no other header is needed, the page brings its own
content policy. For this machine alone, `covseg web` serves the same files.
"""

import argparse
import sys

from covseg_tf.web import build_site, write_site


def main() -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--model", default="xray", help="bundled model or bundle (default: xray)"
    )
    parser.add_argument("--out", required=True, help="new or empty folder")
    options = parser.parse_args()
    try:
        files = build_site(options.model)
        out = write_site(files, options.out)
    except ValueError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 2
    size = sum(map(len, files.values())) / 2**20
    print(f"{out}: {len(files)} files, {size:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
