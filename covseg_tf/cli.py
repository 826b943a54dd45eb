"""The `covseg` command."""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from covseg_tf import __version__

_NAMES = ("healthy", "mild", "moderate", "severe", "critical")
_SEVERITIES = (0.0, 0.15, 0.25, 0.45, 0.7)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        # One line, as every other refusal of this command.
        self.exit(2, f"{self.prog}: {message}\n")


class _Schema(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        from covseg_tf.triage.worklist import schema_text

        print(schema_text(), end="")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Command-line words; `None` takes those of the process.

    Returns:
        Exit code: 0 done; 1 no image could be read, the data have faults, or a
        file not written; 2 bad usage or input; 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except ValueError as error:
        print(f"covseg {options.command}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"covseg {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"covseg {options.command}: interrupted", file=sys.stderr)
        return 130


def _parser():
    parser = _Parser(
        prog="covseg",
        description="COVID-19 infection in chest X-rays. Research use only.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    triage = _add_triage(commands)

    demo = commands.add_parser("demo", help="triage phantoms that it draws itself")
    demo.add_argument("--out", default="covseg-demo", help="default: covseg-demo")
    demo.add_argument("--seed", type=int, default=0, help="seed of the phantoms")
    demo.add_argument(
        "--force", action="store_true", help="replace an earlier report in --out"
    )
    demo.set_defaults(run=_demo)

    for command in (triage, demo):
        command.add_argument(
            "--model",
            default="xray",
            metavar="NAME|FILE",
            help="bundled model, or a bundle on disk (default: xray)",
        )
        command.add_argument("--threads", type=int, default=1, help="default: 1")

    models = commands.add_parser("models", help="list the bundled models")
    models.set_defaults(run=_models)

    data = commands.add_parser("data", help="look at a data set")
    data_commands = data.add_subparsers(
        dest="data_command", required=True, metavar="COMMAND"
    )
    check = data_commands.add_parser("check", help="report faults, draw samples")
    check.add_argument("path", metavar="PATH", help="the data set's folder")
    check.add_argument(
        "--out", default="covseg-data-check", help="default: covseg-data-check"
    )
    check.add_argument(
        "--limit", type=int, metavar="N", help="images per split and finding"
    )
    check.add_argument(
        "--force", action="store_true", help="replace an earlier sheet in --out"
    )
    check.set_defaults(command="data check", run=_data_check)

    score = commands.add_parser("evaluate", help="score a model on a data set")
    score.add_argument(
        "model",
        metavar="MODEL",
        help="bundled model, bundle, .tflite, .keras, or a SavedModel's folder",
    )
    score.add_argument("data", metavar="DATA", help="the data set's folder")
    score.add_argument("--out", required=True, help="folder for the results")
    score.add_argument("--split", help="which split (default: all)")
    score.add_argument(
        "--compare",
        nargs="+",
        default=(),
        metavar="TITLE=MODEL",
        help="models in the panel left of this one",
    )
    score.add_argument("--cases", type=int, default=6, help="panel's rows (default: 6)")
    score.add_argument(
        "--mirror", action="store_true", help="average with the mirror image"
    )
    score.add_argument("--threads", type=int, default=1, help="default: 1")
    score.add_argument(
        "--force", action="store_true", help="replace earlier results in --out"
    )
    score.set_defaults(run=_evaluate)
    _add_serve(commands)
    _add_web(commands)
    return parser


def _add_triage(commands):
    triage = commands.add_parser("triage", help="score images, leave a report")
    triage.add_argument(
        "paths", nargs="+", metavar="PATH", help="file, folder, archive; - reads stdin"
    )
    triage.add_argument("--out", required=True, help="folder for the report")
    triage.add_argument(
        "--schema",
        action=_Schema,
        nargs=0,
        help="print the JSON schema of report.json and end",
    )
    again = triage.add_mutually_exclusive_group()
    again.add_argument(
        "--force", action="store_true", help="replace an earlier report in --out"
    )
    again.add_argument(
        "--resume",
        action="store_true",
        help="go on with a run: score only what is not done, new or changed",
    )
    triage.add_argument(
        "--dicom",
        action="store_true",
        help="write a DICOM SEG and an overlay for each DICOM source",
    )
    triage.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="images at once (default: 1)"
    )
    triage.add_argument(
        "--report-images",
        type=int,
        default=200,
        metavar="N",
        help="the most images that report.html shows (default: 200)",
    )
    triage.add_argument(
        "--quiet", action="store_true", help="no progress, no worklist on the screen"
    )
    triage.set_defaults(run=_triage)
    return triage


def _add_serve(commands):
    serve = commands.add_parser("serve", help="answer TF Serving's API from here")
    serve.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="bundled model, bundle, SavedModel, or a folder of numbered versions",
    )
    serve.add_argument("--name", help="name to serve it under")
    serve.add_argument(
        "--version-label",
        action="append",
        default=[],
        metavar="LABEL=VERSION",
        help="may be given again",
    )
    serve.add_argument(
        "--models-config", metavar="FILE", help="TF Serving's models.config, for MODEL"
    )
    serve.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    serve.add_argument("--port", type=int, default=8501, help="REST (default: 8501)")
    serve.add_argument("--grpc-port", type=int, help="default: no gRPC")
    serve.add_argument(
        "--token", help="asked of every caller (default: the variable COVSEG_TOKEN)"
    )
    serve.add_argument(
        "--max-request-bytes", type=int, default=32 * 2**20, help="default: 32 MiB"
    )
    serve.add_argument(
        "--max-image-pixels", type=int, default=25_000_000, help="default: 25000000"
    )
    serve.add_argument(
        "--workers", type=int, default=2, help="requests at once (default: 2)"
    )
    serve.set_defaults(run=_serve)


def _add_web(commands):
    web = commands.add_parser("web", help="triage in the browser, on this machine")
    web.add_argument(
        "--model",
        default="xray",
        metavar="NAME|FILE",
        help="bundled X-ray model, or a bundle on disk (default: xray)",
    )
    web.add_argument("--port", type=int, default=8760, help="default: 8760")
    web.add_argument("--no-browser", action="store_true", help="only print the address")
    web.set_defaults(run=_web)


def _triage(options):
    from covseg_tf.edge import Segmenter
    from covseg_tf.triage.output import check_output

    if options.jobs > 1 and options.threads > 1:
        raise ValueError("give either --jobs or --threads above 1, not both.")
    check_output(pathlib.Path(options.out), options.force, options.resume)
    segmenter = Segmenter(options.model, threads=options.threads)
    return _run_triage(
        options,
        options.paths,
        segmenter,
        force=options.force,
        resume=options.resume,
        dicom=options.dicom,
        jobs=options.jobs,
        report_images=options.report_images,
    )


def _demo(options):
    import cv2

    from covseg_tf.edge import Segmenter, draw_phantom
    from covseg_tf.triage.output import lock_output, mark_folder

    if options.seed < 0:
        raise ValueError(f"--seed must be 0 or more. Received: {options.seed}")
    out = pathlib.Path(options.out)
    folder = out / "phantoms"
    _check_demo(out, folder, options.force)
    segmenter = Segmenter(options.model, threads=options.threads)
    paths = []
    with lock_output(out):
        mark_folder(folder, "Phantoms that covseg demo draws: no patients.\n")
        for index, (name, severity) in enumerate(zip(_NAMES, _SEVERITIES, strict=True)):
            path = folder / f"{name}.png"
            phantom = draw_phantom(options.seed * len(_NAMES) + index, severity)
            path.write_bytes(cv2.imencode(".png", phantom.image)[1].tobytes())
            paths.append(path)
    options.quiet = False
    return _run_triage(options, paths, segmenter, force=True)


def _check_demo(out, folder, force):
    from covseg_tf.triage.output import check_folder, check_output

    if not force and out.is_dir() and any(out.iterdir()):
        raise ValueError(
            f"{out}: exists and is not empty; add --force to replace an earlier "
            "report, or give another --out."
        )
    check_output(out, force=True)
    check_folder(folder)


def _run_triage(options, paths, segmenter, **words):
    from covseg_tf.triage import triage
    from covseg_tf.triage.progress import Progress
    from covseg_tf.triage.screen import worklist_text

    progress = Progress(sys.stderr, quiet=options.quiet)
    scored = 0

    def on_row(row, done, total):
        nonlocal scored
        scored += 1
        progress(done, total)

    try:
        rows = triage(
            paths,
            options.out,
            segmenter,
            on_row=on_row,
            **words,
        )
    except KeyboardInterrupt:
        progress.close()
        return _complain(options, f"interrupted{_go_on(options)}", 130)
    except OSError as error:
        progress.close()
        return _complain(options, f"{error}{_go_on(options)}", 1)
    progress.close()
    report = pathlib.Path(options.out) / "report.html"
    if words.get("resume") and not scored:
        if not options.quiet:
            print(f"nothing new; report: {report}" if rows else "nothing new")
        return 0
    if not options.quiet:
        print(worklist_text(rows))
        print(f"Report: {report}   (research use only, not a medical device)")
    if all(row.error for row in rows):
        return _complain(options, "no image could be read", 1)
    return 0


def _complain(options, message, code):
    print(f"covseg {options.command}: {message}", file=sys.stderr)
    return code


def _go_on(options):
    from covseg_tf.triage.journal import JOURNAL, count_done

    journal = pathlib.Path(options.out) / JOURNAL
    if options.command != "triage" or not journal.is_file():
        return ""
    return f"; {count_done(journal)} done, the same command with --resume goes on"


def _models(options):
    from covseg_tf.edge import bundled_models, load_bundle

    for name in bundled_models():
        bundle = load_bundle(name)
        size = len(bundle.model) / 2**20
        print(f"{name}  {size:.2f} MiB  {bundle.folder}")
    return 0


def _data_check(options):
    import cv2

    from covseg_tf.data import check_data, draw_contact_sheet

    out = pathlib.Path(options.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; give a folder for the contact sheet.")
    if out.is_dir() and any(out.iterdir()) and not options.force:
        raise ValueError(
            f"{out}: exists and is not empty; give another folder or add --force."
        )
    report = check_data(options.path, options.limit)
    print(report.to_text())
    if report.images:
        groups = {split or "all": drawn for split, drawn in report.samples.items()}
        title = f"covseg data check: {report.root.resolve().name}"
        sheet = out / "contact_sheet.png"
        out.mkdir(parents=True, exist_ok=True)
        picture = draw_contact_sheet(groups, title)
        sheet.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        print(f"\nContact sheet: {sheet}")
    return 1 if report.faults else 0


def _evaluate(options):
    try:
        from covseg_tf.commands.evaluate import evaluate_command
    except ImportError as error:
        raise ValueError(
            f"needs {error.name}; install it with pip install 'covseg-tf[tf]'."
        ) from None
    words = vars(options)
    names = ("model", "data", "out", "split", "compare", "cases", "mirror")
    return evaluate_command(
        **{name: words[name] for name in (*names, "threads", "force")}
    )


def _web(options):
    from covseg_tf.commands.web import web_command

    return web_command(options.model, options.port, not options.no_browser)


def _serve(options):
    try:
        from covseg_tf.commands.serve import serve_command

        words = {k: v for k, v in vars(options).items() if k not in ("command", "run")}
        return serve_command(**words)
    except ImportError as error:
        raise ValueError(
            f"needs {error.name}; install it with pip install 'covseg-tf[server]'."
        ) from None


if __name__ == "__main__":
    sys.exit(main())
