"""All files of the page, ready for a web server."""

import gzip
import hashlib
import json
import pathlib

import numpy as np

from covseg_tf import __version__
from covseg_tf.edge import guard
from covseg_tf.edge.bundle import CARD, LICENSE, MANIFEST, MODEL, load_bundle
from covseg_tf.imaging.correct.negative import drawn_chest
from covseg_tf.triage.report.html import environment
from covseg_tf.triage.report.trust import trust_line
from covseg_tf.web.samples import draw_samples
from covseg_tf.web.template import template_script

_PAGE = pathlib.Path(__file__).parent / "page"
_WORKER = "service-worker.js"
# `package.json` tells Node that these are modules; a browser has no use for it.
_LEFT_OUT = ("package.json",)
SUMS = "SHA256SUMS"


def build_site(model: str | pathlib.Path = "xray") -> dict[str, bytes]:
    """Gathers the page, the runtime, a model and phantoms.

    Args:
        model: Name of a bundled model, or path of a bundle. It must take and
            give uint8, as `covseg_tf.deploy.export_tflite` writes it by default.

    Returns:
        Contents by path, such as `"index.html"` or `"model/model.tflite"`. The
        service worker knows the SHA-256 of each, so a damaged copy is refused.

    Raises:
        ValueError: If there is no such bundle, it is damaged, or its model is
            not one that a browser runs.

    Example:

    >>> from covseg_tf.web import build_site
    >>> site = build_site("xray_nano")
    >>> sorted(path for path in site if path.startswith("model/"))[:2]
    ['model/LICENSE', 'model/MODEL_CARD.md']
    """
    files = _page_files()
    bundle = load_bundle(model)
    _check_model(bundle)
    for name in (MANIFEST, MODEL, CARD, LICENSE):
        files[f"model/{name}"] = (bundle.folder / name).read_bytes()
    files |= _guard_files()
    facts = {
        "version": __version__,
        "trust": trust_line(bundle),
        "chest": drawn_chest().ravel().tolist(),
    }
    files["model/page.json"] = json.dumps(facts, indent=2).encode()
    script = template_script(environment(), "report.html")
    files["js/report_template.js"] = script.encode()
    for name, data in draw_samples().items():
        files[f"samples/{name}"] = data
    files[_WORKER] = _fill_worker(files.pop(_WORKER), files)
    return dict(sorted(files.items()))


def write_site(files: dict[str, bytes], out: str | pathlib.Path) -> pathlib.Path:
    """Writes a site into a new or empty folder, with its `SHA256SUMS`.

    Args:
        files: From `build_site`.
        out: Where to write it.

    Returns:
        The folder.

    Raises:
        ValueError: If the folder is not empty, or cannot be written.
    """
    out = pathlib.Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: exists and is not an empty folder; give another.")
    sums = "".join(f"{_sha256(data)}  {path}\n" for path, data in files.items())
    try:
        for path, data in {**files, SUMS: sums.encode()}.items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_bytes(data)
    except OSError as error:
        raise ValueError(f"{out}: cannot be written ({error.strerror}).") from None
    return out


def _page_files():
    files = {}
    for path in sorted(_PAGE.rglob("*")):
        name = path.relative_to(_PAGE).as_posix()
        if not path.is_file() or name in _LEFT_OUT:
            continue
        if path.suffix == ".gz":
            files[name.removesuffix(".gz")] = gzip.decompress(path.read_bytes())
        else:
            files[name] = path.read_bytes()
    return files


def _check_model(bundle):
    if bundle.modality != "xray":
        raise ValueError(
            f"{bundle.folder}: the page is for chest X-rays, this model is for "
            f"{bundle.modality}."
        )
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=bundle.model).get_signature_runner("serve")
    tensors = [runner.get_input_details(), runner.get_output_details()]
    kinds = {part["dtype"] for part in (*tensors[0].values(), *tensors[1].values())}
    if kinds != {np.uint8}:
        raise ValueError(
            f"{bundle.folder}: a browser runs models that take and give uint8. "
            "Export it with covseg_tf.deploy.export_tflite."
        )


def _guard_files():
    weights = guard.WEIGHTS.read_bytes()
    facts = {
        "views": guard.VIEWS,
        "limits": guard.LIMITS,
        "hidden": guard.hidden_units(),
        "sha256": _sha256(weights),
    }
    return {
        "model/guard_weights.npy": weights,
        "model/guard.json": json.dumps(facts, indent=2).encode(),
    }


def _fill_worker(worker, files):
    digests = {path: _sha256(data) for path, data in sorted(files.items())}
    text = worker.decode()
    # The worker itself counts too: a change of it alone is a new version.
    version = _sha256((json.dumps(digests) + text).encode())[:16]
    for line, value in (
        ("const FILES = {};", f"const FILES = {json.dumps(digests, indent=2)};"),
        ("const VERSION = 'unbuilt';", f"const VERSION = '{version}';"),
    ):
        if text.count(line) != 1:
            raise ValueError(f"{_WORKER} must hold the line {line!r} once.")
        text = text.replace(line, value)
    return text.encode()


def _sha256(data):
    return hashlib.sha256(data).hexdigest()
