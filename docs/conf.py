"""How Sphinx builds the site; `make site` calls it on a staged copy of these pages and a run."""

import hashlib
import inspect
from importlib import metadata
from pathlib import Path

LONG_SIGNATURE, LONG_DEFAULT = 300, 60
"""Characters from which on defaults are left out of the reference."""

own_digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()  # all is built anew with it
project = "Xperience benchmark"
author = "the Xperience authors"
copyright = author
release = metadata.version("xperience")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
parts = ("landing", "front", "ways", "explorer")
exclude_patterns = [f"_run/{part}.md" for part in parts]  # other pages include them
smartquotes = False  # labels stand in pages letter by letter
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]  # equal names in two rooms

nb_render_markdown_format = "myst"  # plain CommonMark has no tables
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # docstrings give types in the reader's words
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
html_search_scorer = str(Path(__file__).parent / "_static" / "scorer.js")
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


_SAID = {}


def _keep_words(app, what, name, obj, options, lines):
    """Show what a constant is for, not its value: values of declarations fill pages."""
    options.no_value = True
    if what in ("attribute", "data"):
        _SAID[name] = list(lines)


def _give_words_back(app, what, name, obj, options, lines):
    """Undo what napoleon makes of a constant's words: it takes all before a colon for a type."""
    if name in _SAID:
        lines[:] = _SAID.pop(name)


def _shorten_defaults(app, what, name, obj, *rest):
    """Leave out defaults that would fill a page, such as the declarations of all tasks."""
    _, signature, returned = rest
    if not signature or len(signature) < LONG_SIGNATURE:
        return None
    known = inspect.signature(obj)
    parameters = [
        one.replace(annotation=one.empty, default=one.default if _is_short(one.default) else ...)
        for one in known.parameters.values()
        if one.name != "self"
    ]
    return str(known.replace(parameters=parameters, return_annotation=known.empty)), returned


def _is_short(default):
    return default is inspect.Parameter.empty or len(repr(default)) <= LONG_DEFAULT


def setup(app):
    app.add_config_value("own_digest", "", "env")
    app.connect("autodoc-process-signature", _shorten_defaults)
    app.connect("autodoc-process-docstring", _keep_words, priority=1)
    app.connect("autodoc-process-docstring", _give_words_back, priority=900)
