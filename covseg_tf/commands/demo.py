"""Triage phantoms that it draws itself."""

import dataclasses
import pathlib

from covseg_tf.commands.runtime_options import RuntimeOptions
from covseg_tf.commands.target import check_folder
from covseg_tf.commands.triage import run_triage
from covseg_tf.options import command, option

SEVERITIES = {
    "healthy": 0.0,
    "mild": 0.15,
    "moderate": 0.25,
    "severe": 0.45,
    "critical": 0.7,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RuntimeOptions):
    out: pathlib.Path = option("folder for the report", pathlib.Path("covseg-demo"))
    seed: int = option("seed of the phantoms", 0)
    force: bool = option("replace an earlier report in --out", False)

    def __post_init__(self):
        if self.seed < 0:
            raise ValueError(f"--seed must be 0 or more. Received: {self.seed}")


def run(options: Options) -> int:
    """Draws the phantoms, scores them and writes the report."""
    import cv2

    from covseg_tf.edge import Segmenter, draw_phantom
    from covseg_tf.triage.record import output

    folder = options.out / "phantoms"
    check_folder(options.out, options.force)
    output.check_output(options.out, force=True)
    output.check_folder(folder)
    segmenter = Segmenter(options.model, threads=options.threads)
    paths = []
    with output.lock_output(options.out):
        output.mark_folder(folder, "Phantoms that covseg demo draws: no patients.\n")
        for index, (name, severity) in enumerate(SEVERITIES.items()):
            path = folder / f"{name}.png"
            phantom = draw_phantom(options.seed * len(SEVERITIES) + index, severity)
            path.write_bytes(cv2.imencode(".png", phantom.image)[1].tobytes())
            paths.append(path)
    return run_triage(paths, options.out, segmenter, force=True)


main = command("covseg demo", __doc__, Options, run)
