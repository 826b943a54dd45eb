"""The work of `covseg serve`."""

import os

from covseg_tf.serving.load_repository import load_repository
from covseg_tf.serving.server_options import ServerOptions


def serve_command(
    model: str | None,
    name: str | None,
    version_label: list[str],
    models_config: str | None,
    token: str | None,
    **settings,
) -> int:
    """Loads the models and serves them until a signal comes.

    Args:
        model: As for `load_repository`.
        name: As for `load_repository`.
        version_label: Words `LABEL=VERSION`.
        models_config: As for `load_repository`.
        token: The token; `None` takes the variable `COVSEG_TOKEN`.
        **settings: The other fields of `ServerOptions`.

    Returns:
        Exit code 0.

    Raises:
        ValueError: If the settings or a model are unusable.
        OSError: If a port is taken.
    """
    from covseg_tf.serving.embedded_server import EmbeddedServer

    token = token or os.environ.get("COVSEG_TOKEN") or None
    options = ServerOptions(token=token, **settings)
    repository = load_repository(
        model,
        name,
        _parse_labels(version_label),
        models_config,
        options.workers,
        options.max_image_pixels,
    )
    server = EmbeddedServer(repository, options)
    addresses = server.url + (f" and {server.grpc_url}" if server.grpc_url else "")
    line = f"Serving {_describe(repository)} at {addresses}"
    # A supervisor waits for this line.
    server.run(on_start=lambda: print(line, flush=True))
    return 0


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
