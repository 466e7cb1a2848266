"""How the documentation site is built: `tox -e docs`, from the whole checkout.

The checkout's root is Sphinx's source folder, so that a link between pages, into the results or
to an example is the same on the site as where the files lie.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "aebench"
version = release = version_of("aebench")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]

root_doc = "docs/index"
source_suffix = {".md": "markdown"}
include_patterns = [
    "CHANGELOG.md",
    "docs/**",
    "results/*.md",
    "results/*/README.md",
    "results/*/tables/*.md",
    "results/*/tuning.md",
    "examples/*/README.md",
]
exclude_patterns = [".tox", "build", "**/runs"]
suppress_warnings = ["myst.header"]  # Pages that a report writes begin tables with bold text.

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "literal"
autodoc_typehints = "none"  # Docstrings say shapes and units, which types do not.
napoleon_use_rtype = False

html_theme = "furo"
html_title = "aebench"
html_extra_path = ["root", "../results/leaderboard.html"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
