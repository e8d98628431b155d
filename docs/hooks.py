"""Links of the guide that lead out of docs/ (to the README, the model card, source files) become plain text on the site."""

import re
from posixpath import dirname, join, normpath

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown, page, config, files):
    def outside(match):
        image, text, target, _ = match.groups()
        inside = not normpath(join(dirname(page.file.src_uri), target)).startswith("..")
        return match[0] if image or "://" in target or inside else text

    return LINK.sub(outside, markdown)
