"""The site's settings: Sphinx reads Markdown (MyST), and docstrings by ``reference.py`` beside this file."""

import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent.parent.parent)]

project = "distrt"
author = copyright = "the authors of distrt"
extensions = ["myst_parser", "sphinx.ext.autodoc", "reference", "inline_pictures"]
exclude_patterns = ["_build", "site"]
root_doc = "index"
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_typehints = "none"
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries = False  # a reference page has hundreds of names

html_theme = "furo"
html_title = "distrt"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
