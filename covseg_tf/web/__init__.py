"""The page that triages in a browser, and its server. Standard library and `edge`."""

from covseg_tf.web.page_server import PageServer
from covseg_tf.web.site import build_site, write_site

__all__ = ["PageServer", "build_site", "write_site"]
