"""Answer TF Serving's API from here, until a signal comes."""

import dataclasses
import os

from covseg_tf.options import argument, command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: str | None = argument(
        "bundled model, bundle, SavedModel, or a folder of numbered versions", None
    )
    name: str | None = option("name to serve it under", None)
    version_label: tuple[str, ...] = option(
        "may be given again", (), nargs=None, metavar="LABEL=VERSION"
    )
    models_config: str | None = option(
        "TF Serving's models.config, for MODEL", None, metavar="FILE"
    )
    host: str = option("address to listen at", "127.0.0.1")
    port: int = option("of REST", 8501)
    grpc_port: int | None = option("of gRPC; without it there is none", None)
    token: str | None = option(
        "asked of every caller; without it the variable COVSEG_TOKEN is", None
    )
    max_request_bytes: int = option("the largest request", 32 * 2**20)
    max_image_pixels: int = option("the largest image", 25_000_000)
    workers: int = option("requests at once", 2)


def run(options: Options) -> None:
    """Loads the models and serves them."""
    from covseg_tf.serving.embedded_server import EmbeddedServer
    from covseg_tf.serving.repository import load_repository
    from covseg_tf.serving.server_options import ServerOptions

    settings = dataclasses.asdict(options)
    model, name, labels, config, token = (
        settings.pop(key)
        for key in ("model", "name", "version_label", "models_config", "token")
    )
    token = token or os.environ.get("COVSEG_TOKEN") or None
    server_options = ServerOptions(token=token, **settings)
    repository = load_repository(
        model,
        name,
        _parse_labels(labels),
        config,
        options.workers,
        options.max_image_pixels,
    )
    server = EmbeddedServer(repository, server_options)
    addresses = server.url + (f" and {server.grpc_url}" if server.grpc_url else "")
    line = f"Serving {_describe(repository)} at {addresses}"
    # A supervisor waits for this line.
    server.run(on_start=lambda: print(line, flush=True))


def _parse_labels(words):
    labels = {}
    for word in words:
        label, _, version = word.partition("=")
        if not label or not version.isdecimal():
            raise ValueError(
                f"--version-label takes LABEL=VERSION, for example stable=1. "
                f"Received: {word}"
            )
        labels[label] = int(version)
    return labels


def _describe(repository):
    return ", ".join(
        f"{name} {'/'.join(map(str, repository.versions(name)))}"
        for name in repository.names
    )


main = command("covseg serve", __doc__, Options, run, needs="server")
