"""The options of a command: a frozen dataclass, and its command line."""

import argparse
import dataclasses
import difflib
import os
import sys
import typing
from collections.abc import Callable, Sequence


def option(help: str, default=dataclasses.MISSING) -> typing.Any:
    """Returns a dataclass field with a line of help.

    Args:
        help: Its line in `--help`.
        default: Its default; without one the option must be given.
    """
    return dataclasses.field(default=default, metadata={"help": help})


OptionsT = typing.TypeVar("OptionsT")


def parse_options(
    options_class: type[OptionsT],
    description: str,
    arguments: Sequence[str] | None = None,
) -> OptionsT:
    """Fills a dataclass of options from the command line.

    Every field is a flag: `batch_size: int` is `--batch-size N`, a `bool` field
    is a switch, a `tuple[str, ...]` takes several words, `T | None` is as `T`.
    Nothing is guessed: a
    flag must be spelled in full.

    Args:
        options_class: A dataclass, for example `TrainingOptions`.
        description: The recipe's docstring, for `--help`.
        arguments: Command-line words; `None` takes those of the process.

    Returns:
        The options.

    Raises:
        SystemExit: With exit code 2 and one line on stderr, if a flag is
            unknown (the nearest spelling is named), lacks, or has a bad value.
    """
    parser = _Parser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    types = typing.get_type_hints(options_class)
    for field in dataclasses.fields(typing.cast(typing.Any, options_class)):
        _add(parser, field, types[field.name])
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(_unknown(parser, unknown[0]))
    try:
        return options_class(**vars(options))
    except ValueError as error:
        parser.error(str(error))


def run_recipe(
    name: str, run: Callable[[OptionsT], None], options: OptionsT
) -> typing.Literal[0, 2]:
    """Runs a recipe; bad input is one line on stderr.

    Args:
        name: The recipe's file name, for the message.
        run: Takes the options; raises `ValueError` for bad input.
        options: From `parse_options`.

    Returns:
        Exit code: 0, or 2 after bad input. With the environment variable
        `COVSEG_TRACEBACK=1` the error is raised instead.
    """
    try:
        run(options)
    except Exception as error:
        cause = _cause(error)
        if cause is None or os.environ.get("COVSEG_TRACEBACK") == "1":
            raise
        print(f"{name}: {cause}", file=sys.stderr)
        return 2
    return 0


def _cause(error):
    """The one line of a ValueError, also of one that tf.data has wrapped."""
    if isinstance(error, ValueError):
        return str(error).strip().splitlines()[0]
    if type(error).__module__.startswith("tensorflow"):
        for line in str(error).splitlines():
            if line.strip().startswith("ValueError: "):
                return line.strip().removeprefix("ValueError: ")
    return None


class _Parser(argparse.ArgumentParser):
    def parse_known_args(self, args=None, namespace=None):
        # A misspelled flag is named before those that it makes look missing.
        words = sys.argv[1:] if args is None else list(map(str, args))
        for word in words:
            flag = word.split("=")[0]
            if flag.startswith("--") and flag not in self._option_string_actions:
                self.error(_unknown(self, flag))
        return super().parse_known_args(words, namespace)

    def error(self, message) -> typing.NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _add(parser, field, kind):
    flag = "--" + field.name.replace("_", "-")
    text = field.metadata.get("help", "")
    if kind is bool:
        parser.add_argument(flag, action="store_true", help=text)
        return
    required = field.default is dataclasses.MISSING
    if not required:
        shown = field.default
        if isinstance(shown, tuple):
            shown = " ".join(map(str, shown))
        text += f" (default: {shown})"
    if type(None) in typing.get_args(kind):  # T | None
        kind = typing.get_args(kind)[0]
        text = text.removesuffix(" (default: None)")
    several = typing.get_origin(kind) is tuple
    parser.add_argument(
        flag,
        type=typing.get_args(kind)[0] if several else kind,
        action=_Tuple if several else "store",
        nargs="+" if several else None,
        required=required,
        default=None if required else field.default,
        help=text,
    )


class _Tuple(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, tuple(values))


def _unknown(parser, word):
    flag = word.split("=")[0]
    flags = [f for f in parser._option_string_actions if f.startswith("--")]
    near = difflib.get_close_matches(flag, flags, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "see --help."
    return f"unknown option {flag}; {hint}"
