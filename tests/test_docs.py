"""The pages of the site: their Python runs, and the site builds without a warning."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from test_docstrings import PUBLIC

from covseg_tf import cli

ROOT = pathlib.Path(__file__).resolve().parents[1]
# A block is left out only with the reason above it.
_BLOCK = re.compile(r"(<!-- not run: .+? -->\n)?^```python\n(.*?)^```$", re.M | re.S)
PAGES = {
    str(page.relative_to(ROOT / "docs")): [
        code for reason, code in _BLOCK.findall(page.read_text("utf-8")) if not reason
    ]
    for page in sorted((ROOT / "docs").rglob("*.md"))
}


@pytest.mark.parametrize("page", [page for page, blocks in PAGES.items() if blocks])
@pytest.mark.filterwarnings("default")
def test_examples_run(page, tmp_path, monkeypatch, capsys):
    """The blocks of a page are one program, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for number, code in enumerate(PAGES[page], start=1):
        exec(compile(code, f"{page}, block {number}", "exec"), names)


def test_site_builds(tmp_path):
    pytest.importorskip("mkdocs")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path],
        cwd=ROOT,
        env=os.environ
        | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    reference = (tmp_path / "reference" / "layers" / "index.html").read_text("utf-8")
    assert "RegionFusionAttention" in reference
    for room, names in PUBLIC.items():
        if room.count(".") == 1:
            page = tmp_path / "reference" / room.split(".")[1] / "index.html"
            found = set(
                re.findall(r'id="(covseg_tf\.[\w.]+)"', page.read_text("utf-8"))
            )
            last = {name.rpartition(".")[2] for name in found}
            assert set(names) <= last, (room, set(names) - last)
    page = (tmp_path / "reference" / "cli" / "index.html").read_text("utf-8")
    for command in cli.COMMANDS:
        assert f"usage: covseg {command}" in page
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "https://fonts" not in page


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = set(re.findall(r": (\S+\.md)$", text, re.M))
    # What belongs to one result is reached from its page.
    assert listed == {page for page in PAGES if not re.match("results/.+/", page)}


def test_manifests_parse():
    page = (ROOT / "docs" / "howto" / "kubernetes.md").read_text("utf-8")
    (manifest,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    container = yaml.safe_load(manifest)["spec"]["template"]["spec"]["containers"][0]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {"models", "config"}
