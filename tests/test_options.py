"""The command line of every command: strict, of the dataclass's own making."""

import dataclasses
import pathlib

import pytest

from covseg_tf.options import argument, command, option, parse_options, rest
from covseg_tf.training import TrainingOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    epochs: int = option("epochs to train", 7)
    rows: tuple[str, ...] = option("which rows", ("a", "b"))
    weights: pathlib.Path | None = option("where to start", None)


def parse(*words):
    return parse_options(Options, "A recipe.", ["--data", "in", "--out", "run", *words])


def test_every_field_is_a_flag():
    assert parse() == Options(data=pathlib.Path("in"), out=pathlib.Path("run"))
    options = parse(
        *("--epochs", "3", "--learning-rate=1e-4", "--rows", "c", "d", "--quick"),
        *("--weights", "x.keras"),
    )
    assert (options.epochs, options.learning_rate) == (3, 1e-4)
    assert options.rows == ("c", "d")
    assert options.quick
    assert not options.jit_compile
    assert options.weights == pathlib.Path("x.keras")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epoch", "3"], "unknown option --epoch; did you mean --epochs?"),
        (["--learning_rate=1"], "did you mean --learning-rate?"),
        (["--lerning-rate", "1"], "did you mean --learning-rate?"),
        (["--zzz"], "unknown option --zzz; see --help."),
        (["stray"], "stray"),
        (["--epochs", "many"], "invalid int value: 'many'"),
        (["--epochs", "0"], "--epochs must be at least 1. Received: 0"),
        (["--batch-size", "0"], "--batch-size must be at least 1. Received: 0"),
        (["--patience", "-1"], "--patience must be at least 0. Received: -1"),
        (["--learning-rate", "nan"], "--learning-rate must be positive"),
        (["--seed", "-1"], "--seed must be in [0, 2**32). Received: -1"),
    ],
)
def test_a_bad_word_is_one_line_and_exit_code_2(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(*words)
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_a_misspelled_flag_is_named_before_a_missing_one(capsys):
    with pytest.raises(SystemExit):
        parse_options(Options, "", ["--dat", "in"])
    assert "did you mean --data?" in capsys.readouterr().err


def test_help_lists_every_flag_with_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        parse_options(Options, "A recipe.", ["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.count("(default:") == 6
    for field in dataclasses.fields(Options):
        assert "--" + field.name.replace("_", "-") in text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given:
    model: pathlib.Path = argument("a file")
    paths: tuple[str, ...] = argument("more files", metavar="PATH")
    label: tuple[str, ...] = option("may be given again", (), nargs=None)
    form: str = option("which", "a", choices=("a", "b"))
    others: tuple[str, ...] = rest()


def test_places_lists_choices_and_what_is_left():
    words = ["m", "x", "y", "--label", "1", "--label", "2", "--runner", "r"]
    assert parse_options(Given, "", words) == Given(
        model=pathlib.Path("m"),
        paths=("x", "y"),
        label=("1", "2"),
        others=("--runner", "r"),
    )
    with pytest.raises(SystemExit):
        parse_options(Given, "", ["m", "x", "--form", "c"])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (None, 0, ""),
        (ValueError("two\n lines"), 2, "two lines"),
        (ValueError("`form`, not `model`, of `x`"), 2, "--form, not MODEL, of `x`"),
        (FileNotFoundError(2, "No such file", "x"), 1, "[Errno 2] No such file: 'x'"),
        (KeyboardInterrupt("; 2 done"), 130, "interrupted; 2 done"),
        (ImportError("", name="onnx"), 2, "needs onnx; pip install 'covseg-tf[x]'."),
    ],
)
def test_what_a_command_ends_with(error, code, line, capsys):
    def run(options):
        if error:
            raise error

    main = command("/a/b.py", "Help.", Given, run, needs="x")
    assert main(["m", "x"]) == code
    assert capsys.readouterr().err == (f"b.py: {line}\n" if line else "")
    assert main(["m"]) == 2
    assert main(["--help"]) == 0


def test_a_fault_of_ours_is_not_hidden():
    def run(options):
        raise ImportError("", name="covseg_tf.nothing")

    with pytest.raises(ImportError):
        command("b", "", Given, run, needs="x")(["m", "x"])
