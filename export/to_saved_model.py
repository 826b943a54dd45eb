#!/usr/bin/env python
"""Turn a trained dual-flow network into a servable for TF Serving.

    python export/to_saved_model.py MODEL.keras --out models/xray --version 1

`models/xray/1` receives the SavedModel with three signatures: float images, PNG or
JPEG files, and files in and out; and warm-up records. `models/models.config` tells
the server of it, unless it is there already. Serve it with `covseg serve models/xray`
or with the container, see export/serving. Time: 10 seconds.
"""

import argparse
import pathlib
import sys

from covseg_tf.deploy import export_saved_model, load_network, write_models_config


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a .keras file")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="base folder")
    parser.add_argument("--version", type=int, default=1, help="default: 1")
    parser.add_argument("--threshold", type=float, default=0.5, help="default: 0.5")
    parser.add_argument("--label", default="stable", help="in models.config")
    parser.add_argument("--no-warm-up", action="store_true")
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    try:
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
        config = options.out.parent / "models.config"
        if config.exists():
            print(f"{config} is there already and was left alone; add the version.")
        elif not options.no_warm_up:
            name, version = options.out.resolve().name, options.version
            # As the container sees it, with the folder mounted at /models.
            labels = {options.label: version}
            write_models_config(config, name, f"/models/{name}", (version,), labels)
            print(f"Config:   {config}")
    except ValueError as error:
        print(f"to_saved_model.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
