"""How Sphinx builds these pages: ``make docs``."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

import seviz

sys.path.insert(0, str(Path(__file__).resolve().parent / "_extensions"))

project = "seviz"
author = "The seviz authors"
project_copyright = author
version = release = installed("seviz")

extensions = [
    "myst_parser",  # pages are Markdown, so that they can be read without being built
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # Google docstrings
    "command_options",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "seviz"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False

smartquotes = False  # --data is an option, not a dash
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

# Two public functions have the names of packages; autodoc is to see the functions.
vars(seviz).update({name: seviz._public(name) for name in seviz.__all__})

# `name` in a docstring is a link where it names something of ours, and code otherwise.
default_role = "py:obj"
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
