"""The rules of the house about who may import whom, checked on the syntax tree."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "covseg_tf"

# What each part may import of the package, and from outside the standard library.
INSIDE = {
    "layers": {"layers"},
    "losses": {"losses"},
    "metrics": {"metrics"},
    "models": {"models", "layers", "losses", "metrics"},
    "imaging": {"imaging"},
    "data": {"data", "edge", "imaging", "losses"},
    "evaluation": {"evaluation", "data", "edge"},
    "training": {
        *("training", "models", "layers", "losses", "metrics", "data", "edge"),
        "options",
    },
    "deploy": {
        *("deploy", "models", "layers", "losses", "metrics", "data", "edge"),
        "evaluation",
    },
    "serving": {"serving", "edge", "imaging"},
    "commands": {
        *("commands", "options", "evaluation", "deploy", "data", "edge"),
        *("triage", "serving", "web", "node"),
    },
    "edge": {"edge", "imaging"},
    "triage": {"triage", "imaging", "edge", "__init__"},
    "web": {"web", "edge", "imaging", "triage", "__init__"},
    "batch": {"batch", "edge", "imaging", "triage", "__init__"},
    "node": {"node", "edge", "imaging", "options", "triage", "__init__"},
    "cli.py": {"options", "__init__"},
    "options.py": set(),
    "__init__.py": set(),
}
OUTSIDE = {
    "layers": {"keras"},
    "losses": {"keras"},
    "metrics": {"keras"},
    "models": {"keras", "h5py"},
    "imaging": {"numpy", "cv2", "nibabel", "pydicom"},
    "data": {"keras", "keras_cv", "tensorflow", "numpy", "cv2", "nibabel"},
    "evaluation": {"numpy", "cv2"},
    "training": {"keras", "numpy", "tensorflow", "jax", "cv2"},
    "deploy": {
        "keras",
        "tensorflow",
        "numpy",
        "cv2",
        "ai_edge_litert",
        "ai_edge_quantizer",
        "flatbuffers",
        "openvino",
        "tflite_micro",
        "google",
        "onnx",
        "onnxruntime",
        "tf2onnx",
        "tf_keras",
        "tensorflow_model_optimization",
    },
    "serving": {
        "numpy",
        "cv2",
        "tensorflow",
        "tensorflow_serving",
        "google",
        "grpc",
        "requests",
        "starlette",
        "uvicorn",
        "prometheus_client",
    },
    "commands": {"numpy", "cv2"},
    "edge": {"numpy", "cv2", "ai_edge_litert"},
    "triage": {"numpy", "cv2", "pydicom", "highdicom", "jinja2"},
    "web": {"numpy", "cv2", "ai_edge_litert", "jinja2"},
    "batch": {"apache_beam", "pandas", "pyarrow", "pyspark"},
    "node": {
        *("numpy", "cv2", "pydicom", "pynetdicom", "highdicom", "prometheus_client"),
    },
    "cli.py": set(),
    "options.py": set(),
    "__init__.py": set(),
}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def test_every_part_has_a_rule():
    parts = {
        p.name
        for p in PACKAGE.iterdir()
        if p.suffix == ".py" or (p.is_dir() and list(p.glob("*.py")))
    }
    assert parts == set(INSIDE) == set(OUTSIDE)


@pytest.mark.parametrize("part", sorted(INSIDE))
def test_import_directions(part):
    path = PACKAGE / part
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert files
    for file in files:
        for module in imported_modules(file):
            first, *rest = module.split(".")
            if first == "covseg_tf":
                target = rest[0] if rest else "__init__"
                assert target in INSIDE[part], f"{file} imports {module}"
            elif first not in sys.stdlib_module_names:
                assert first in OUTSIDE[part], f"{file} imports {module}"


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import covseg_tf", {"tensorflow", "keras", "numpy", "cv2"}),
        (
            "import covseg_tf.imaging",
            {"tensorflow", "keras", "nibabel", "pydicom", "ai_edge_litert"},
        ),
        ("import covseg_tf.edge", {"tensorflow", "keras", "tf_keras", "pydicom"}),
        ("import covseg_tf.cli", {"tensorflow", "keras", "numpy", "cv2"}),
        (
            "import covseg_tf.commands.triage, covseg_tf.commands.serve, "
            "covseg_tf.commands.node",
            {"tensorflow", "keras", "numpy", "cv2", "starlette", "pynetdicom"},
        ),
        ("import covseg_tf.batch.spark", {"apache_beam", "tensorflow", "keras"}),
        ("import covseg_tf.data", {"tensorflow", "keras", "nibabel", "pydicom"}),
        ("import covseg_tf.evaluation", {"tensorflow", "keras", "nibabel", "pydicom"}),
        ("import covseg_tf.web", {"tensorflow", "keras", "starlette", "uvicorn"}),
        (
            "import covseg_tf.triage",
            {"tensorflow", "keras", "nibabel", "pydicom", "highdicom", "jinja2"},
        ),
        (
            "import covseg_tf.deploy",
            {
                *("tf_keras", "tensorflow_model_optimization", "ai_edge_quantizer"),
                *("onnx", "onnxruntime", "tf2onnx", "tensorflow_serving"),
            },
        ),
        (
            "import covseg_tf.serving",
            {"tensorflow", "keras", "starlette", "uvicorn", "grpc", "requests"},
        ),
    ],
)
def test_imports_without_the_heavy_packages(statement, banned):
    """The modules are not merely unused: importing them would fail."""
    block = "".join(f"sys.modules[{name!r}] = None; " for name in sorted(banned))
    code = f"import sys; {block}{statement}"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
