#!/usr/bin/env python
"""Turn a trained dual-flow network into a servable for TF Serving.

    python export/to_saved_model.py MODEL.keras --out models/xray --version 1

`models/xray/1` receives the SavedModel with three signatures: float images, PNG or
JPEG files, and files in and out; and warm-up records. `models/models.config` tells
the server of it, unless it is there already. Serve it with `covseg serve models/xray`
or with the container, see export/serving. Time: 10 seconds.
"""

import dataclasses
import importlib.util
import pathlib
import sys

from covseg_tf.commands.target import check_target
from covseg_tf.deploy import export_saved_model, load_network, write_models_config
from covseg_tf.options import argument, command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: pathlib.Path = argument("a .keras file")
    out: pathlib.Path = option("base folder")
    version: int = option("folder in it", 1)
    threshold: float = option("foreground is above it", 0.5)
    label: str = option("of this version, in models.config", "stable")
    no_warm_up: bool = option("write no warm-up records", False)


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


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
