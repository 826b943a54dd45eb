"""One specification of the pixels, asserted in Python and in JavaScript."""

import json
import pathlib
import shutil
import subprocess

import make_vectors
import pytest

VECTORS = json.loads(make_vectors.FILE.read_text("utf-8"))
ANSWERS = {
    "resize": make_vectors.resize_answer,
    "grey": make_vectors.grey_answer,
    "mask": make_vectors.mask_answer,
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_python_answers_the_vectors(kind):
    for case in VECTORS[kind]:
        assert ANSWERS[kind](case) == case["answer"], case


def test_the_file_holds_all_cases():
    for kind, questions in make_vectors.cases().items():
        stored = [{k: v for k, v in c.items() if k != "answer"} for c in VECTORS[kind]]
        assert stored == json.loads(json.dumps(questions)), kind


def test_javascript_answers_the_vectors():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: the page's arithmetic is not run outside a browser")
    files = sorted(pathlib.Path(__file__).parent.glob("*.test.js"))
    result = subprocess.run(
        [node, "--test", *map(str, files)], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    number = sum(map(len, (VECTORS[kind] for kind in ANSWERS)))
    assert f"# pass {number + 9}" in result.stdout
