"""A command's options: a frozen dataclass, its command line, its exit code."""

import argparse
import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Mapping, Sequence


def option(help: str, default=dataclasses.MISSING, **words) -> typing.Any:
    """Returns a dataclass field that is a flag.

    Args:
        help: Its line in `--help`.
        default: Its default; without one the option must be given.
        **words: Passed to `ArgumentParser.add_argument`, for example `choices`;
            `flag` is what is typed where that is not the field's name.
    """
    return dataclasses.field(default=default, metadata={"help": help, **words})


def argument(help: str, default=dataclasses.MISSING, **words) -> typing.Any:
    """Returns a dataclass field that is given by its place, not by a flag.

    Args:
        help: Its line in `--help`.
        default: Its default; without one it must be given.
        **words: As for `option`.
    """
    return option(help, default, positional=True, **words)


def rest() -> typing.Any:
    """Returns a field for the words that are left: flags of another program."""
    return dataclasses.field(default=(), metadata={"rest": True})


OptionsT = typing.TypeVar("OptionsT")


def parse_options(
    options_class: type[OptionsT],
    description: str,
    arguments: Sequence[str] | None = None,
    name: str | None = None,
) -> OptionsT:
    """Fills a dataclass of options from the command line.

    Every field is a flag: `batch_size: int` is `--batch-size N`, a `bool` field
    is a switch, a `tuple[str, ...]` takes several words and may be given again,
    `T | None` is as `T`. Nothing is guessed: a flag must be spelled in full.

    Args:
        options_class: A dataclass of `option` and `argument` fields.
        description: What `--help` says, for example the docstring of the file.
        arguments: Command-line words; `None` takes those of the process.
        name: What errors begin with; `None` takes the program's.

    Returns:
        The options.

    Raises:
        SystemExit: With exit code 2 and one line on stderr, if a flag is
            unknown (the nearest spelling is named), lacks, or has a bad value.
    """
    fields = dataclasses.fields(typing.cast(typing.Any, options_class))
    left = [field.name for field in fields if "rest" in field.metadata]
    parser = _Parser(
        prog=name,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    types = typing.get_type_hints(options_class)
    for field in fields:
        if field.name not in left:
            _add(parser, field, types[field.name])
    words = list(map(str, sys.argv[1:] if arguments is None else arguments))
    if not left:
        parser.check_flags(words)
    known, unknown = parser.parse_known_args(words)
    if unknown and not left:
        parser.error(f"unexpected {unknown[0]!r}; see --help.")
    try:
        return options_class(**vars(known), **{at: tuple(unknown) for at in left})
    except ValueError as error:
        parser.error(_with_flags(str(error), options_class))


def command(
    name: str,
    description: str | None,
    options_class: type[OptionsT],
    run: Callable[[OptionsT], int | None],
    needs: str | None = None,
) -> Callable[[Sequence[str] | None], int]:
    """Returns the `main` of a command: takes its words, gives its exit code.

    Args:
        name: What its errors begin with: a name, or `__file__` of a script.
        description: As for `parse_options`.
        options_class: As for `parse_options`.
        run: As for `run_command`.
        needs: As for `run_command`.
    """
    name = os.path.basename(name)

    def main(arguments: Sequence[str] | None = None) -> int:
        try:
            options = parse_options(options_class, description or "", arguments, name)
        except SystemExit as stop:  # --help, or a bad word
            return int(stop.code or 0)
        return run_command(name, run, options, needs)

    return main


def group(
    name: str, description: str, mains: Mapping[str, Callable[[list[str]], int]]
) -> Callable[[Sequence[str] | None], int]:
    """Returns the `main` of a command whose first words name another.

    Args:
        name: What errors begin with.
        description: What `--help` says.
        mains: Dict from what is typed, one word or two, to what takes the words
            after it.
    """

    def main(arguments: Sequence[str] | None = None) -> int:
        words = list(map(str, sys.argv[1:] if arguments is None else arguments))
        for typed, run in mains.items():
            count = len(typed.split())
            if words[:count] == typed.split():
                return run(words[count:])
        if words[:1] in (["--help"], ["-h"]):
            print(description.strip())
            return 0
        found = f"no command {' '.join(words)!r}" if words else "no command given"
        print(f"{name}: {found}; it has {', '.join(mains)}.", file=sys.stderr)
        return 2

    return main


def run_command(
    name: str,
    run: Callable[[OptionsT], int | None],
    options: OptionsT,
    needs: str | None = None,
) -> int:
    """Runs a command's work; a refusal is one line on stderr.

    Args:
        name: What that line begins with.
        run: Takes the options; gives an exit code, or `None` for 0.
        options: From `parse_options`.
        needs: The extra of `covseg-tf` that brings what `run` imports.

    Returns:
        Exit code: that of `run`; 2 after bad input (`ValueError`, also one that
        tf.data has wrapped) or without the extra, 1 after an `OSError`, 130 if
        interrupted. With the environment variable `COVSEG_TRACEBACK=1` an error
        is raised instead.
    """
    try:
        return run(options) or 0
    except KeyboardInterrupt as stop:
        code, line = 130, f"interrupted{stop}"
    except Exception as error:
        code, line = _refusal(error, needs)
        if not code or os.environ.get("COVSEG_TRACEBACK") == "1":
            raise
        if dataclasses.is_dataclass(options):
            line = _with_flags(line, options)
    print(f"{name}: {line}", file=sys.stderr)
    return code


def _refusal(error, needs):
    """Exit code and line for an error of the user's making, else 0."""
    lines = [line.strip() for line in str(error).splitlines()]
    missing = getattr(error, "name", "") if isinstance(error, ImportError) else ""
    if needs and missing and not missing.startswith("covseg_tf"):
        return 2, f"needs {missing}; pip install 'covseg-tf[{needs}]'."
    if isinstance(error, (ValueError, OSError)):
        return 2 if isinstance(error, ValueError) else 1, " ".join(lines).strip()
    if type(error).__module__.startswith("tensorflow"):
        for line in lines:
            if line.startswith("ValueError: "):
                return 2, line.removeprefix("ValueError: ")
    return 0, ""


def _with_flags(line, options):
    """A line of the library for who typed flags: `report_images` is --report-images."""
    for field in dataclasses.fields(options):
        flag = _flag(field)
        typed = field.name.upper() if field.metadata.get("positional") else flag
        line = line.replace(f"`{field.name}`", typed)
    return line


def _flag(field):
    return field.metadata.get("flag", "--" + field.name.replace("_", "-"))


def _with_reason(convert):
    """As `convert`; argparse keeps what a plain `ValueError` says to itself."""

    def converted(word):
        try:
            return convert(word)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


class _Parser(argparse.ArgumentParser):
    def check_flags(self, words):
        """Names a misspelled flag before those that it makes look missing."""
        for word in words:
            flag = word.split("=")[0]
            if flag == "--":
                return
            if flag.startswith("--") and flag not in self._option_string_actions:
                self.error(f"unknown option {flag}; {self._nearest(flag)}")

    def _nearest(self, flag):
        import difflib

        flags = [f for f in self._option_string_actions if f.startswith("--")]
        near = difflib.get_close_matches(flag, flags, n=1, cutoff=0.5)
        return f"did you mean {near[0]}?" if near else "see --help."

    def error(self, message) -> typing.NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def _add(parser, field, kind):
    words = dict(field.metadata)
    positional = words.pop("positional", False)
    required = field.default is dataclasses.MISSING
    name = field.name if positional else _flag(field)
    if "type" in words:
        words["type"] = _with_reason(words["type"])
    if words.pop("flag", None):
        words["dest"] = field.name
    if not required:
        words["default"] = field.default
    if kind is bool:
        parser.add_argument(name, **{"action": "store_true"} | words)
        return
    if type(None) in typing.get_args(kind):  # T | None
        kind = typing.get_args(kind)[0]
    if typing.get_origin(kind) is tuple:
        kind = typing.get_args(kind)[0]
        words = {"nargs": "+", "action": _Tuple} | words
    if positional:
        words = {"metavar": field.name.upper()} | words
        words |= {} if required else {"nargs": "?"}
    else:
        words["required"] = required
    if not required and field.default not in (None, ""):
        shown = field.default
        shown = " ".join(map(str, shown)) if isinstance(shown, tuple) else shown
        words["help"] += f" (default: {shown})" if str(shown) else ""
    parser.add_argument(name, **{"type": kind} | words)


class _Tuple(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        before = getattr(namespace, self.dest)
        before = () if before is self.default or before is None else before
        values = values if isinstance(values, list) else [values]
        setattr(namespace, self.dest, (*before, *values))
