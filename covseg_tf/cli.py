"""The `covseg` command: finds the one that is asked for, and imports it alone."""

import functools
import importlib
import sys
from collections.abc import Sequence

from covseg_tf import __version__
from covseg_tf.options import group

# What is typed, and its line in the help; `covseg_tf.commands` has a file for each.
COMMANDS = {
    "triage": "score images, leave a report",
    "demo": "triage phantoms that it draws itself",
    "models": "list the bundled models",
    "data check": "look at a data set: report faults, draw samples",
    "evaluate": "score a model on a data set",
    "serve": "answer TF Serving's API from here",
    "node": "take films by DICOM, give results back",
    "web": "triage in the browser, on this machine",
}
HELP = "\n".join(
    [
        "COVID-19 infection in chest X-rays. Research use only.",
        "",
        *(f"  covseg {name:<12}{text}" for name, text in COMMANDS.items()),
        "",
        "`covseg COMMAND --help` says more; `covseg --version` which one this is.",
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Command-line words; `None` takes those of the process.

    Returns:
        Exit code: 0 done; 1 no image could be read, the data have faults, or a
        file not written; 2 bad usage or input; 130 interrupted.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words == ["--version"]:
        print(__version__)
        return 0
    return _find(words)


def _run(module, words):
    return importlib.import_module(f"covseg_tf.commands.{module}").main(words)


_find = group(
    "covseg",
    HELP,
    {name: functools.partial(_run, name.replace(" ", "_")) for name in COMMANDS},
)


if __name__ == "__main__":
    sys.exit(main())
