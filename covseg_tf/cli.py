"""The `covseg` command: finds the one that is asked for, and runs it alone."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from covseg_tf import __version__

# What is typed, and its line in the help; `covseg_tf.commands` has a file for each.
COMMANDS = {
    "triage": "score images, leave a report",
    "demo": "triage phantoms that it draws itself",
    "models": "list the bundled models",
    "data check": "look at a data set: report faults, draw samples",
    "evaluate": "score a model on a data set",
    "serve": "answer TF Serving's API from here",
    "web": "triage in the browser, on this machine",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Command-line words; `None` takes those of the process.

    Returns:
        Exit code: 0 done; 1 no image could be read, the data have faults, or a
        file not written; 2 bad usage or input; 130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for name in COMMANDS:
        count = len(name.split())
        if words[:count] == name.split():
            module = name.replace(" ", "_")
            # One command is imported, not all: `covseg triage` starts on a device.
            command = importlib.import_module(f"covseg_tf.commands.{module}")
            return command.main(words[count:])
    _parse(words)
    return 2


def _parse(words):
    """Answers --help and --version; refuses what is no command."""
    width = max(map(len, COMMANDS)) + 2
    parser = argparse.ArgumentParser(
        prog="covseg",
        usage="covseg COMMAND ...",
        description="COVID-19 infection in chest X-rays. Research use only.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<{width}}{text}" for name, text in COMMANDS.items())
        + "\n\n`covseg COMMAND --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    _, left = parser.parse_known_args(words)
    found = f"no command {' '.join(left)!r}" if left else "no command given"
    print(f"covseg: {found}; it has {', '.join(COMMANDS)}.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
