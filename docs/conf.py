"""How Sphinx builds the site; `make site` calls it on a staged copy of these pages and a run."""

from xperience import __version__

project = "Xperience benchmark"
author = "the Xperience authors"
copyright = author
release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_run/landing.md", "_run/front.md", "_run/ways.md"]  # parts of index.md
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]  # equal names in two rooms

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # docstrings give types in the reader's words
autodoc_preserve_defaults = True  # a default as it is written, not what it evaluates to
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

# Pages show what a run left; nothing is executed here.
nb_execution_mode = "off"
nb_output_stderr = "remove"
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Fold the code"
nb_ipywidgets_js = {}

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it fetches pages, which browsers refuse from disk
html_last_updated_fmt = None
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": [], "explorer": []},
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_issues_button": False,
    "use_repository_button": False,
}


def _describe_data(app, what, name, obj, options, lines):
    """Keep napoleon from reading a colon in the words on a constant as the end of its type."""
    if what in ("attribute", "data", "property") and lines and lines[0]:
        lines.insert(0, "")


def setup(app):
    app.connect("autodoc-process-docstring", _describe_data, priority=1)
