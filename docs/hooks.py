"""Makes pages that link into the source tree stand alone as a site."""

import pathlib
import re

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, files):
    """Turns a link that leaves the site into its text and the path in the tree."""
    root = pathlib.Path(config.docs_dir).resolve()
    folder = (root / page.file.src_uri).parent

    def replace(match):
        target = (folder / match[2]).resolve()
        if target.is_relative_to(root) and target.is_file():
            return match[0]
        try:
            return f"{match[1]} (`{target.relative_to(root.parent)}`)"
        except ValueError:
            return match[1]

    return _LINK.sub(replace, markdown)
