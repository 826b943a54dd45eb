"""The work of `covseg serve`."""

import os

from covseg_tf.serving.repository import load_repository
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
    labels = dict(map(_parse_label, version_label))
    limits = options.workers, options.max_image_pixels
    repository = load_repository(model, name, labels, models_config, *limits)
    server = EmbeddedServer(repository, options)
    models = ", ".join(
        f"{name} {'/'.join(map(str, repository.versions(name)))}"
        for name in repository.names
    )
    addresses = server.url + (f" and {server.grpc_url}" if server.grpc_url else "")
    # A supervisor waits for this line.
    line = f"Serving {models} at {addresses}"
    server.run(on_start=lambda: print(line, flush=True))
    return 0


def _parse_label(word):
    label, _, version = word.partition("=")
    if not label or not version.isdecimal():
        raise ValueError(
            f"--version-label takes LABEL=VERSION, for example stable=1. "
            f"Received: {word}"
        )
    return label, int(version)
