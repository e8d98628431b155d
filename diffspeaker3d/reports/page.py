"""Pages from the templates of this package: self-contained HTML, everything escaped."""

from __future__ import annotations

from typing import Any

import jinja2

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("diffspeaker3d.reports"), autoescape=True, undefined=jinja2.StrictUndefined
)


def render(template: str, **values: Any) -> str:
    """The text of a page.

    Args:
        template: file name in `templates/`.
        **values: what the template names; a missing one is an error.
    """
    return _ENVIRONMENT.get_template(template).render(**values)
