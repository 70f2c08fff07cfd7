"""How Sphinx makes pages of these documents: `make docs`."""

from importlib.metadata import version as installed_version
from typing import Any

from sphinx.application import Sphinx

project = "modeling-vl"
version = release = installed_version("modeling-vl")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}

# Headings are linked to as on GitHub, so that a link between two documents works in both places.
myst_heading_anchors = 4
myst_links_external_new_tab = False

# Docstrings put code between single backticks, as Markdown does.
default_role = "literal"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Attributes are described within their class instead of once more below it.
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
maximum_signature_line_length = 100
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_title = f"modeling-vl {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
highlight_language = "none"


def say_no_types(app: Sphinx, what: str, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking what stands before a colon for a type: annotations say that."""
    if what in ("data", "attribute") and lines:
        lines[0] = f": {lines[0]}"
    for number, line in enumerate(lines[:-1]):
        if line.strip() in ("Returns:", "Yields:"):
            text = lines[number + 1]
            lines[number + 1] = text.replace(text.strip(), f": {text.strip()}")


def setup(app: Sphinx) -> None:
    """Change docstrings before napoleon reads them."""
    app.connect("autodoc-process-docstring", say_no_types, priority=400)
