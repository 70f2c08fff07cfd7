"""Do docstrings tell the truth about arguments and results? Ruff sees that they exist; this compares them with code.

The rules, for public functions, methods and constructors (whose docstring is that of the class and their own):

* With two or more parameters there is an `Args:` section. With a result besides there is a `Returns:` or `Yields:`
  section, or the first sentence begins with one of these words. Two kinds may do without: a helper that one paragraph
  describes, naming every parameter in backticks ("Whether `relation` holds between `first` and `second`."), and a
  method that overrides one of a class in the same file, or is marked `@override`, and so is described there.
* An `Args:` section, wherever there is one, names every parameter and no other. `*args` and `**kwargs` may be left
  out. Parameters that share a description may share an entry: `height, width: Size in pixels.`
* Where there is no result there is no `Returns:` or `Yields:`.
* The `Args:` section of a class that has neither a constructor nor bases (a dataclass) names its public fields.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.import_checks import place

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

ONLY_A_SIGNATURE = {"overload", "setter", "deleter"}
CLASS_LEVEL_ARGUMENTS = {"self", "cls"}
NO_RESULT = {None, "None", "NoReturn", "Never"}
PUBLIC_MAGIC = {"__init__", "__call__"}

SECTION = re.compile(r"^(?P<name>[A-Z][A-Za-z ]*):$")
ENTRY = re.compile(r"^ {4}(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:")
RESULT_SENTENCE = re.compile(r"(Returns?|Yields?)\b")


class PublicName(NamedTuple):
    """A public function, method or class with the docstring that describes it.

    Attributes:
        name: Qualified name, for example `Processor.__call__`.
        node: Its syntax tree.
        docstring: Its docstring, without indentation.
        overrides: Whether it overrides a method that is described elsewhere.
    """

    name: str
    node: FunctionNode | ast.ClassDef
    docstring: str
    overrides: bool = False


def docstring_of(node: FunctionNode | ast.ClassDef) -> str:
    """The docstring without indentation, empty where there is none."""
    return ast.get_docstring(node) or ""


def sections(docstring: str) -> dict[str, list[str]]:
    """The sections of a Google-style docstring, by name, as the lines below each heading."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in inspect.cleandoc(docstring).splitlines():
        if heading := SECTION.match(line):
            lines = found.setdefault(heading["name"], [])
        elif line and not line.startswith(" "):
            lines = []
        else:
            lines.append(line)
    return found


def described_arguments(docstring: str) -> list[str] | None:
    """Names in the `Args:` section in their order, or None where there is no such section."""
    lines = sections(docstring).get("Args")
    if lines is None:
        return None
    entries = (ENTRY.match(line) for line in lines)
    return [name.lstrip("*") for entry in entries if entry for name in entry["names"].split(", ")]


def parameters(function: FunctionNode) -> tuple[list[str], list[str]]:
    """Named parameters without `self` and `cls`, and the names of `*args` and `**kwargs`."""
    arguments = function.args
    named = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    if named and named[0] in CLASS_LEVEL_ARGUMENTS:
        named = named[1:]
    return named, [argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument is not None]


def decorators(function: FunctionNode) -> set[str]:
    """Last names of a function's decorators: `setter` for `@size.setter`."""
    targets = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
    return {ast.unparse(target).rpartition(".")[2] for target in targets}


def methods(node: ast.ClassDef) -> dict[str, FunctionNode]:
    """Methods in the class body, by name."""
    return {member.name: member for member in node.body if isinstance(member, FunctionNode)}


def inherited_methods(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> set[str]:
    """Names of the methods of all bases of `node` that are among `classes`."""
    bases = [classes[name] for base in node.bases if (name := ast.unparse(base)) in classes]
    return {name for base in bases for name in (*methods(base), *inherited_methods(base, classes))}


def public_names(tree: ast.Module) -> Iterator[PublicName]:
    """Public functions, classes and their methods, in the order of the file; nested classes are private."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, FunctionNode) and not node.name.startswith("_"):
            yield PublicName(node.name, node, docstring_of(node))
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield PublicName(node.name, node, docstring_of(node))
            inherited = inherited_methods(node, classes) - {"__init__"}
            for name, method in methods(node).items():
                if name in PUBLIC_MAGIC or not name.startswith("_"):
                    of_class = f"{docstring_of(node)}\n\n" if name == "__init__" else ""
                    overrides = name in inherited or "override" in decorators(method)
                    yield PublicName(f"{node.name}.{name}", method, of_class + docstring_of(method), overrides)


def function_faults(function: FunctionNode, docstring: str, *, overrides: bool) -> Iterator[str]:
    """What is wrong with the `docstring` of `function`, which `overrides` another one or does not."""
    named, variadic = parameters(function)
    result = None if function.returns is None else ast.unparse(function.returns)
    told = described_arguments(docstring)
    told_result = {"Returns", "Yields"} & sections(docstring).keys()
    in_one_paragraph = "\n\n" not in docstring.strip() and all(f"`{name}`" in docstring for name in named)

    if len(named) >= 2 and not overrides and not in_one_paragraph:
        if told is None:
            yield f"no `Args:` section for {', '.join(named)}"
        if result not in NO_RESULT and not told_result and not RESULT_SENTENCE.match(docstring):
            yield f"no `Returns:` or `Yields:` section for {result}"
    if told is not None:
        if missing := [name for name in named if name not in told]:
            yield f"`Args:` leaves out {', '.join(missing)}"
        if invented := [name for name in told if name not in (*named, *variadic)]:
            yield f"`Args:` describes {', '.join(invented)}, which is no parameter"
    if result in NO_RESULT and told_result:
        yield f"`{told_result.pop()}:` but there is no result"


def field_faults(node: ast.ClassDef, docstring: str) -> Iterator[str]:
    """What is wrong with the `Args:` section in the `docstring` of the class `node`."""
    told = described_arguments(docstring)
    if told is None or node.bases or "__init__" in methods(node):
        return
    fields = [
        ast.unparse(statement.target)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and not ast.unparse(statement.annotation).startswith("ClassVar")
    ]
    if missing := [name for name in fields if name not in told and not name.startswith("_")]:
        yield f"`Args:` leaves out {', '.join(missing)}"
    if invented := [name for name in told if name not in fields]:
        yield f"`Args:` describes {', '.join(invented)}, which is no field"


def docstring_faults(path: Path, root: Path) -> list[str]:
    """Every breach of the rules in one file.

    Args:
        path: A Python file.
        root: Folder that the findings' file names are relative to.

    Returns:
        Lines `file:line: name: what is wrong`, in the order of the file.
    """
    found = []
    for name, node, docstring, overrides in public_names(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.ClassDef):
            faults = field_faults(node, docstring)
        elif decorators(node) & ONLY_A_SIGNATURE:
            continue
        else:
            faults = function_faults(node, docstring, overrides=overrides)
        found += [f"{place(path, root, node.lineno)}: {name}: {fault}" for fault in faults]
    return found
