"""Triage in the browser, on this machine, until Ctrl-C."""

import dataclasses

from covseg_tf.options import command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: str = option("bundled X-ray model, or a bundle", "xray", metavar="NAME|FILE")
    port: int = option("on 127.0.0.1; 0 takes a free one", 8760)
    no_browser: bool = option("only print the address", False)


def run(options: Options) -> None:
    """Serves the page."""
    import webbrowser

    from covseg_tf.web import PageServer, build_site

    server = PageServer(build_site(options.model), options.port)
    print(f"Page: {server.url}   (research use only, not a medical device)")
    print("Images stay in the browser. Stop with Ctrl-C.", flush=True)
    if not options.no_browser:
        webbrowser.open(server.url)
    try:
        server.run()
    except KeyboardInterrupt:
        print("\nStopped; the page stays usable in browsers that have opened it.")


main = command("covseg web", __doc__, Options, run)
