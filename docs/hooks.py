"""Makes pages that link into the source tree stand alone as a site."""

import ast
import contextlib
import io
import os
import pathlib
import re

from covseg_tf import cli

_HELP = "<!-- covseg --help, of every command -->"
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, files):
    """Turns a link that leaves the site into its text and the path in the tree."""
    root = pathlib.Path(config.docs_dir).resolve()
    folder = (root / page.file.src_uri).parent

    def replace(match):
        target = (folder / match[2]).resolve()
        if target.is_relative_to(root) and target.is_file():
            return match[0]
        try:
            return f"{match[1]} (`{target.relative_to(root.parent)}`)"
        except ValueError:
            return match[1]

    if _HELP in markdown:
        markdown = markdown.replace(_HELP, _command_line())
    if page.file.src_uri.startswith("reference/"):
        markdown += _unseen(page.file.src_uri)
    return _LINK.sub(replace, markdown)


def _command_line():
    """What every command says of itself, at the width of a page."""
    parts = []
    with _columns(88):
        for name in cli.COMMANDS:
            text = io.StringIO()
            with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
                cli.main([*name.split(), "--help"])
            parts.append(
                f"## covseg {name}\n\n```text\n{text.getvalue().rstrip()}\n```\n"
            )
    return "\n".join(parts)


@contextlib.contextmanager
def _columns(width):
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _unseen(page):
    """Names of a room that griffe does not find by themselves.

    Those that are imported when they are asked for, and functions that are called as
    their file is.
    """
    room = pathlib.PurePosixPath(page).stem
    root = pathlib.Path(cli.__file__).parents[1]
    init = root / "covseg_tf" / room / "__init__.py"
    names = []
    for node in ast.parse(init.read_text("utf-8")).body if init.is_file() else ():
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                if (root / inside.replace(".", "/")).with_suffix(".py").is_file():
                    names.append((alias.name, inside))
                elif (init.parent / f"{alias.name}.py").is_file():
                    names.append((alias.name, node.module))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names += ast.literal_eval(node.value).items()
    return "".join(
        f"\n::: {module}.{name}\n    options:\n      show_root_heading: true\n"
        "      show_root_toc_entry: true\n"
        for name, module in names
    )
