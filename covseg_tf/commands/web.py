"""What `covseg web` does."""

import webbrowser

from covseg_tf.web.page_server import PageServer
from covseg_tf.web.site import build_site


def web_command(model: str, port: int, open_browser: bool) -> int:
    """Serves the page to this machine until Ctrl-C.

    Args:
        model: Name of a bundled model, or path of a bundle.
        port: Port on 127.0.0.1; 0 takes a free one.
        open_browser: Whether to open the page in the user's browser.

    Returns:
        Exit code 0.

    Raises:
        ValueError: If the model or the port cannot be used.
    """
    server = PageServer(build_site(model), port)
    print(f"Page: {server.url}   (research use only, not a medical device)")
    print("Images stay in the browser. Stop with Ctrl-C.", flush=True)
    if open_browser:
        webbrowser.open(server.url)
    try:
        server.run()
    except KeyboardInterrupt:
        print("\nStopped; the page stays usable in browsers that have opened it.")
    return 0
