"""docs/architecture.md names files that are there and rooms as they are held."""

import pathlib
import re

import pytest
from test_imports import INSIDE

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
JOURNEYS = re.findall(r"^\*\*(A .+?)\.\*\* (.+?)\n\n", PAGE, re.M | re.S)
ROOMS = dict(re.findall(r"^\| `covseg_tf/(\S+)` \| .+ \| (.+) \|$", PAGE, re.M))


def paths_in(text):
    return [path for path in re.findall(r"`([^`\s]+)`", text) if "/" in path]


@pytest.mark.parametrize("path", sorted(set(paths_in(PAGE))))
def test_every_path_is_there(path):
    assert (ROOT / path).exists()


def test_six_journeys_pass_files_and_not_folders():
    assert len(JOURNEYS) == 6
    for name, text in JOURNEYS:
        paths = paths_in(text)
        assert len(paths) >= 6, name
        assert all((ROOT / path).is_file() for path in paths), name


def test_the_rooms_are_those_whose_imports_are_held():
    assert set(ROOMS) == set(INSIDE) - {"__init__.py"}
    for room, text in ROOMS.items():
        allowed = INSIDE[room] - {room}
        assert text == (", ".join(f"`{name}`" for name in sorted(allowed)) or "nothing")
