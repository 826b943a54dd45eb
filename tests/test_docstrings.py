"""What is public is documented, named in one place, and its examples run.

The one place is the `__init__` of each room: read here as text, so that a room whose
packages are not installed is still checked for its names.
"""

import ast
import doctest
import importlib
import inspect
import pathlib

import keras
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def read_names(init):
    """Returns `__all__` of an `__init__.py`, and the names that it imports."""
    public, imported = None, set()
    for node in ast.parse(init.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            imported |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            (target,) = node.targets
            if target.id == "__all__":
                public = ast.literal_eval(node.value)
            elif isinstance(node.value, ast.Dict):  # read on demand
                imported |= set(ast.literal_eval(node.value))
    return public, imported


ROOMS = {
    ".".join(init.parent.relative_to(ROOT).parts): read_names(init)
    for init in sorted((ROOT / "covseg_tf").glob("*/**/__init__.py"))
}
PUBLIC = {room: names for room, (names, _) in ROOMS.items() if names is not None}
OBJECTS = [(room, name) for room, names in PUBLIC.items() for name in names]


def import_room(room):
    if room == "covseg_tf.batch":
        pytest.importorskip("apache_beam", reason='needs pip install ".[beam]"')
    return importlib.import_module(room)


@pytest.mark.parametrize("room", ROOMS)
def test_an_init_exports_in_order_what_it_imports(room):
    public, imported = ROOMS[room]
    assert set(public or ()) == imported
    assert (public or []) == sorted(imported)


@pytest.mark.parametrize("room", [r for r in PUBLIC if r.count(".") == 1])
def test_every_room_has_its_page_in_the_reference(room):
    page = ROOT / "docs" / "reference" / f"{room.removeprefix('covseg_tf.')}.md"
    assert page.read_text("utf-8") == f"# {room}\n\n::: {room}\n"


@pytest.mark.parametrize(("room", "name"), OBJECTS)
def test_documented_and_examples_run(room, name):
    module = import_room(room)
    thing = getattr(module, name)
    if not callable(thing):  # a constant: its comment stands where it is set
        return
    doc = inspect.getdoc(thing)
    assert doc
    assert doc[0].isupper()
    if inspect.isfunction(thing):
        for argument in inspect.signature(thing).parameters:
            assert argument in doc or "as for" in doc, f"{name}: `{argument}`"
    names = {"keras": keras} | {key: getattr(module, key) for key in module.__all__}
    for example in doctest.DocTestFinder(recurse=False).find(thing, name, globs=names):
        assert doctest.DocTestRunner().run(example).failed == 0
