"""The library's reference as an extension of Sphinx: sources are read, nothing is imported.

A page holds the directive ``{library} xperience.storage`` a module. It shows what is public there
and has a docstring; or a string or a ``#:`` beside it, for a constant; or a comment, for a field.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonConsoleLexer
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from xperience.sources import LIBRARY

LONG_DEFAULT = 60
"""Defaults of more letters, such as the declarations of all tasks, are left out."""
_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
_SESSION = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
_LISTED = ("Parameters", "Returns", "Yields", "Raises", "Attributes")
_DECORATED = {
    "property": "property",
    "cached_property": "property",
    "classmethod": "classmethod",
    "staticmethod": "staticmethod",
}


def _session(code: str, language: str, _: str) -> str:
    if language != "pycon":
        return ""
    shown = highlight(code, PythonConsoleLexer(), HtmlFormatter(nowrap=True))
    return f'<pre class="highlight">{shown}</pre>'


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "highlight": _session})


@dataclass
class _Member:
    """Something documented: its place, what Sphinx calls it, and what it has inside."""

    name: str
    kind: str
    doc: str
    signature: str = ""
    inside: list["_Member"] = field(default_factory=list)


@cache
def _parsed(path: Path, _changed_ns: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _classes() -> dict[str, tuple[str, ast.ClassDef]]:
    """Return every class of the library by its name, with the module it stands in."""
    found = {}
    for path in LIBRARY.rglob("*.py"):
        module = ".".join((LIBRARY.name, *path.relative_to(LIBRARY).with_suffix("").parts))
        for node in _parsed(path, path.stat().st_mtime_ns).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = (module, node)
    return found


def _name_of(node: ast.expr) -> str:
    """Return the last name of a base or a decorator."""
    node = node.func if isinstance(node, ast.Call) else node
    node = node.value if isinstance(node, ast.Subscript) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _lineage(node: ast.ClassDef) -> Iterator[ast.ClassDef | str]:
    """Yield a class, its bases and theirs; those of other packages by their names."""
    yield node
    for base in map(_name_of, node.bases):
        known = _classes().get(base)
        yield from _lineage(known[1]) if known else [base]


def _documented(body: Sequence[ast.stmt], lines: Sequence[str], in_class: bool) -> list[_Member]:
    """Return the public members of a module or a class that are documented, in their order."""
    found = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            each = target.elts if isinstance(target, ast.Tuple) else [target]
            kind, doc = "attribute" if in_class else "data", _beside(node, after, lines)
            if in_class and not doc:
                assert node.end_lineno is not None
                doc = lines[node.end_lineno - 1].partition("  # ")[2]
            found += [_Member(getattr(one, "id", "_"), kind, doc) for one in each]
        elif isinstance(node, ast.ClassDef):
            is_error = any(str(base).endswith(("Error", "Exception")) for base in _lineage(node))
            kind, doc = "exception" if is_error else "class", ast.get_docstring(node) or ""
            inside = _documented(node.body, lines, True)
            found.append(_Member(node.name, kind, doc, _signature_of_class(node), inside))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kinds = (_DECORATED.get(_name_of(one)) for one in node.decorator_list)
            kind = next(filter(None, kinds), "method" if in_class else "function")
            bound = in_class and kind != "staticmethod"
            signature = "" if kind == "property" else _signature(node.args, bound)
            found.append(_Member(node.name, kind, ast.get_docstring(node) or "", signature))
    return [one for one in found if one.doc and not one.name.startswith("_")]


def _beside(node: ast.stmt, after: ast.stmt | None, lines: Sequence[str]) -> str:
    """Return what is said of a constant or a field: the string below it, or ``#:`` comments."""
    value = after.value if isinstance(after, ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    assert node.end_lineno is not None
    said = lines[node.end_lineno - 1].partition("#: ")[2]
    above = node.lineno - 2
    while not said.startswith(" ") and above >= 0 and lines[above].lstrip().startswith("#: "):
        said = f"{lines[above].lstrip()[3:]} {said}".rstrip()
        above -= 1
    return said


def _signature_of_class(node: ast.ClassDef) -> str:
    """Return how a class is called: what its ``__init__`` or its fields say, own or inherited."""
    fields: dict[str, tuple[str, ast.expr | None]] = {}
    lineage = list(_lineage(node))
    others = {one for one in lineage if isinstance(one, str)}
    if others & {"Enum", "StrEnum", "IntEnum"}:
        return _shown([("value", "")])
    for one in lineage:
        if isinstance(one, str):
            continue
        for inner in one.body:
            if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                return _signature(inner.args, True)
    for one in reversed([one for one in lineage if not isinstance(one, str)]):
        holds = any(_name_of(by) == "dataclass" for by in one.decorator_list)
        if holds or others & {"BaseModel", "NamedTuple", "TypedDict"}:
            for inner in one.body:
                if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                    kept = _name_of(inner.annotation) != "ClassVar"
                    fields |= {inner.target.id: ("", inner.value)} if kept else {}
    if not fields and "BaseModel" not in others:
        return _shown([])
    keywords = [("*", "")] if others & {"BaseModel", "TypedDict"} else []
    return _shown([*keywords, *((name, _default(value)) for name, (_, value) in fields.items())])


def _signature(given: ast.arguments, bound: bool) -> str:
    """Return a function's parameters with their defaults; types are in the docstring's words."""
    plain = [*given.posonlyargs, *given.args]
    missing: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults))
    found = [
        (one.arg, _default(value))
        for one, value in zip(plain, [*missing, *given.defaults], strict=True)
    ][bound:]
    if given.posonlyargs:
        found.insert(len(given.posonlyargs) - bound, ("/", ""))
    if given.vararg or given.kwonlyargs:
        found.append((f"*{given.vararg.arg if given.vararg else ''}", ""))
    found += [
        (one.arg, _default(value))
        for one, value in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    found += [(f"**{given.kwarg.arg}", "")] if given.kwarg else []
    return _shown(found)


def _default(value: ast.expr | None) -> str:
    if value is None:
        return ""
    if isinstance(value, ast.Call) and _name_of(value) in ("field", "Field"):
        given = {one.arg: one.value for one in value.keywords}
        if "default_factory" in given:
            return "<factory>"
        value = given.get("default", value.args[0] if value.args else None)
        return "" if isinstance(value, ast.Constant) and value.value is ... else _default(value)
    text = ast.unparse(value)
    return text if len(text) <= LONG_DEFAULT else "..."


def _shown(parameters: Sequence[tuple[str, str]]) -> str:
    each = []
    for name, default in parameters:
        words = f'<span class="n">{escape(name)}</span>'
        if default:
            shown = f'<span class="default_value">{escape(default)}</span>'
            words += f'<span class="o">=</span>{shown}'
        each.append(f'<em class="sig-param">{words}</em>')
    opened, closed = (f'<span class="sig-paren">{one}</span>' for one in "()")
    return f"{opened}{', '.join(each)}{closed}"


def _as_html(doc: str) -> str:
    """Return a docstring as HTML; sections of numpydoc become lists or have a heading."""
    first, *rest = _SECTION.split(doc)
    parts = [_words(first)]
    for title, text in zip(rest[::2], rest[1::2], strict=True):
        if title not in _LISTED:
            parts.append(f'<p class="rubric">{title}</p>\n{_words(text)}')
            continue
        entries = re.split(r"\n(?=\S)", text.strip())
        items = "\n".join(f"<li>{_words(_entry(title, one))}</li>" for one in entries)
        head = f'<dt class="field-odd">{title}<span class="colon">:</span></dt>'
        body = f'<dd><ul class="simple">\n{items}\n</ul></dd>'
        parts.append(f'<dl class="field-list simple">\n{head}\n{body}\n</dl>')
    return "\n".join(parts)


def _entry(title: str, text: str) -> str:
    """Return an entry of a section, such as a parameter, as Markdown."""
    head, _, body = text.partition("\n")
    body = "\n".join(line.removeprefix("    ") for line in body.splitlines())
    if title in ("Returns", "Yields"):
        head = f"*{_linked(head)}*" if body else head
    else:
        name, _, kind = head.replace("*", r"\*").partition(" : ")
        head = f"**{_linked(name)}**{f' (*{_linked(kind)}*)' if kind else ''}"
    return f"{head} – {body}" if body else head


def _linked(text: str) -> str:
    """Return a text with its names of the library's classes as links."""

    def link(found: re.Match[str]) -> str:
        module, _ = _classes().get(found[0], ("", None))
        room = module.split(".")[1] if module else ""
        return f"[{found[0]}]({room}.html#{module}.{found[0]})" if room else found[0]

    return re.sub(r"\b[A-Z]\w+", link, text)


def _words(text: str) -> str:
    text = _SESSION.sub(lambda found: f"```pycon\n{found[0]}\n```", text.replace("::\n", ":\n"))
    return str(_MARKDOWN.render(text))


class LibraryModule(SphinxDirective):
    """Show what a module of the library offers."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the module's docstring and its members."""
        (module,) = self.arguments
        path = LIBRARY.parent.joinpath(*module.split(".")).with_suffix(".py")
        self.env.note_dependency(str(path))
        tree = _parsed(path, path.stat().st_mtime_ns)
        lines = path.read_text(encoding="utf-8").splitlines()
        place = f"module-{module}"
        self.env.domains.python_domain.note_module(module, place, "", "", False)
        about = _as_html(ast.get_docstring(tree) or "")
        members = _documented(tree.body, lines, False)
        shown = [self._shown(module, module, one) for one in members]
        return [_raw(f'<span id="{place}"></span>{about}'), *shown]

    def _shown(self, module: str, owner: str, member: _Member) -> nodes.Node:
        """Return a member as the nodes that Sphinx makes of it, so that it is listed and found."""
        full, called = f"{owner}.{member.name}", "()" * bool(member.signature)
        is_inside, is_class = owner != module, member.kind in ("class", "exception")
        self.env.domains.python_domain.note_object(full, member.kind, full)
        inside = owner.removeprefix(f"{module}.")
        toc = f"{inside}.{member.name}" if is_inside else member.name
        where = f"{module}.{inside} attribute" if is_inside else f"in module {module}"
        index = ("single", f"{member.name}{called} ({where})", full, "", None)
        before = "" if member.kind in ("function", "method", "data", "attribute") else member.kind
        prefix = f'<span class="property">{before} </span>' * bool(before)
        path = f'<span class="sig-prename descclassname">{owner}.</span>' * (not is_inside)
        name = f'<span class="sig-name descname">{member.name}</span>'
        signature = addnodes.desc_signature("", "", ids=[full], classes=["sig", "sig-object", "py"])
        signature["_toc_name"] = toc + ("" if is_class else called)
        signature += _raw(f"{prefix}{path}{name}{member.signature}")
        content = addnodes.desc_content("", _raw(_as_html(member.doc)))
        content += [self._shown(module, full, one) for one in member.inside]
        shown = addnodes.desc("", addnodes.index(entries=[index]), signature, content)
        shown["classes"] += ["py", member.kind]
        return shown


def _raw(html: str) -> nodes.raw:
    return nodes.raw("", html, format="html")


def _leave_index(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Keep entries of the index out of the search: it has the objects, and would forget them."""
    for entry in [*doctree.findall(addnodes.index)]:
        entry.parent.remove(entry)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx, which calls this."""
    app.add_directive("library", LibraryModule)
    app.connect("doctree-resolved", _leave_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
