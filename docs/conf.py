"""Sphinx: builds from this folder and the installed package alone, without network."""  # noqa: INP001

from lambda_bundle import __version__

project = "lambda-bundle"
author = "The lambda-bundle authors"
copyright = author  # noqa: A001 - Sphinx's name for it
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {version}"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
