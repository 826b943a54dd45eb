#!/usr/bin/env python
"""Turn a trained dual-flow network into a servable for TF Serving.

    python export/to_saved_model.py MODEL.keras --out models/xray --version 1

`models/xray/1` receives the SavedModel with three signatures: float images, PNG or
JPEG files, and files in and out; and warm-up records. `models/models.config` tells
the server of it, unless it is there already. Serve it with `covseg serve models/xray`
or with the container, see export/serving. Time: 10 seconds.
"""

import argparse
import importlib.util
import pathlib
import sys

from covseg_tf.deploy import export_saved_model, load_network, write_models_config
from covseg_tf.deploy.command import check_target, run_command


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a .keras file")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="base folder")
    parser.add_argument("--version", type=int, default=1, help="default: 1")
    parser.add_argument("--threshold", type=float, default=0.5, help="default: 0.5")
    parser.add_argument("--label", default="stable", help="in models.config")
    parser.add_argument("--no-warm-up", action="store_true")
    return parser.parse_args(arguments)


def run(options):
    check_target(options.out / str(options.version), "--version")
    model, spec = load_network(options.model)
    folder = export_saved_model(
        model,
        spec,
        options.out,
        options.version,
        options.threshold,
        warm_up=not options.no_warm_up,
    )
    print(f"Servable: {folder}")
    config = options.out.absolute().parent / "models.config"
    if config.exists():
        print(f"{config} is there already and was left alone; add the version.")
    elif importlib.util.find_spec("tensorflow_serving") is None:
        print("models.config was not written: it needs tensorflow-serving-api.")
    else:
        name, version = options.out.absolute().name, options.version
        # As the container sees it, with the folder mounted at /models.
        labels = {options.label: version}
        write_models_config(config, name, f"/models/{name}", (version,), labels)
        print(f"Config:   {config}")


def main(arguments=None):
    return run_command("to_saved_model.py", run, parse(arguments))


if __name__ == "__main__":
    sys.exit(main())
