"""How Sphinx builds the site; `make site` calls it on a staged copy of these pages and a run."""

import gc
import hashlib
import sys
from importlib import metadata
from pathlib import Path

from docutils.nodes import bullet_list, reference
from sphinx.addnodes import toctree

gc.disable()  # a third of the build went into looking for cycles; the process ends with it

# Notebooks are checked against a schema; grammars of addresses take two seconds to build for it.
sys.modules.setdefault("rfc3987_syntax", None)

own_digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()  # all is built anew with it
project = "Xperience benchmark"
author = "the Xperience authors"
copyright = author
release = metadata.version("xperience")

extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "xperience.report.reference",
]
parts = ("landing", "front", "ways", "explorer")
exclude_patterns = [f"_run/{part}.md" for part in parts]  # other pages include them
smartquotes = False  # labels stand in pages letter by letter
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]  # equal names in two rooms

nb_render_markdown_format = "myst"  # plain CommonMark has no tables
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

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


def keep_titles(app, env):
    """Leave titles alone in the contents from which the navigation beside every page is copied."""
    whole = env.whole_tocs = getattr(env, "whole_tocs", {})
    for page in env.tocs.keys() & env.all_docs.keys():
        toc = env.tocs[page]
        if toc.get("only_titles"):
            continue
        whole[page], env.tocs[page] = toc, bullet_list("", only_titles=True)
        for item in toc.children:
            title = item.deepcopy()
            title[1:] = [bullet_list("", *below)] if (below := [*title.findall(toctree)]) else []
            env.tocs[page] += title


def show_contents(app, page, template, context, doctree):
    """Show the contents of a page, its sections and what the reference lists, beside it."""
    if doctree is not None:
        toc = app.env.whole_tocs[page].deepcopy()
        for link in toc.findall(reference):
            link["refuri"] = link["anchorname"] or "#"
        context["toc"] = app.builder.render_partial(toc)["fragment"]


def setup(app):
    app.add_config_value("own_digest", "", "env")
    app.connect("env-updated", keep_titles, priority=900)
    app.connect("html-page-context", show_contents, priority=100)
