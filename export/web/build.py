"""Writes the browser page as a folder for any static web host.

    python export/web/build.py --model xray --out SITE

Takes 2 s and writes 12 MB: the page, LiteRT.js, the model, phantoms, and
SHA256SUMS. Serve it over HTTPS (camera, checksums and offline use need that), with
`.wasm` as `application/wasm`; no other header is needed, the page brings its own
content policy. For this machine alone, `covseg web` serves the same files.
"""

import dataclasses
import sys

from covseg_tf.options import command, option
from covseg_tf.web import build_site, write_site


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: str = option("bundled model, or a bundle", "xray", metavar="NAME|FILE")
    out: str = option("new or empty folder")


def run(options):
    files = build_site(options.model)
    out = write_site(files, options.out)
    size = sum(map(len, files.values())) / 2**20
    print(f"{out}: {len(files)} files, {size:.1f} MiB")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
