"""What the site's reference needs to know of the docstrings: examples are code, and builders are functions.

mkdocstrings reads the sources without running them. The builders are bound at run time, so they are imported here.
"""

import inspect
import re
import textwrap
from importlib import import_module
from typing import Any

import griffe
from site_reference import api

_EXAMPLE = re.compile(r"^Examples?:\n\n((?:(?: +.*)?\n)*(?: +.*\n?))", re.MULTILINE)
_OWN_ARGUMENTS = re.compile(r"\n+Args:\n    include_top:.*", re.DOTALL)
_REFERENCE = re.compile(r"`(keras_resnet(?:\.\w+)+)(\(\))?`")
_DESCRIBED = frozenset(re.findall(r"^::: (\S+)$", "\n".join(api().values()), re.MULTILINE))
_BOUND = ("keras_resnet.models.networks", "keras_resnet.models.slim.functions")
_SHORTER = {r"keras\.src\.(?:\w+\.)+(\w+)": r"keras.\1", r"\b(?:typing|collections\.abc)\.": ""}


def shown(docstring: str) -> str:
    """Returns a docstring with its example as a block of code, and links to what the reference describes."""

    def fence(found: re.Match[str]) -> str:
        code = textwrap.dedent(found[1]).strip("\n")
        language = "pycon" if code.startswith(">>>") else "python"
        return f"```{language}\n{code}\n```\n\n"

    def link(found: re.Match[str]) -> str:
        return f"[{found[0]}][{found[1]}]" if found[1] in _DESCRIBED else found[0]

    return _REFERENCE.sub(link, _EXAMPLE.sub(fence, docstring + "\n").rstrip("\n"))


def as_function(name: str, function: Any, parent: griffe.Module) -> griffe.Function:
    """Returns what the reference shows of a function that is known at run time only."""
    signature = inspect.signature(function)
    parameters = [
        griffe.Parameter(
            each.name,
            annotation=_annotation(each.annotation),
            kind=griffe.ParameterKind(each.kind.description),
            default=None if each.default is each.empty else repr(each.default),
        )
        for each in signature.parameters.values()
    ]
    made = griffe.Function(
        name, parameters=griffe.Parameters(*parameters), returns=_annotation(signature.return_annotation), parent=parent
    )
    text = inspect.getdoc(function) or ""
    if name != "ResNet":  # the others have its arguments
        text = _OWN_ARGUMENTS.sub("\n\nArguments, results and errors are those of [ResNet][keras_resnet.ResNet].", text)
    made.docstring = griffe.Docstring(
        text, parent=made, parser="google", parser_options={"returns_multiple_items": False}
    )
    return made


def _annotation(annotation: Any) -> str | None:
    """A type as users write it."""
    if annotation is inspect.Signature.empty:
        return None
    text = inspect.formatannotation(annotation)
    for pattern, name in _SHORTER.items():
        text = re.sub(pattern, name, text)
    return text


class Docstrings(griffe.Extension):  # type: ignore[misc]
    """Replaces names that are bound to functions at run time by these functions, and marks examples as code."""

    def on_module_members(self, *, mod: griffe.Module, **_: Any) -> None:
        """Defines what a module binds, before others import it."""
        if mod.path in _BOUND:
            bound = import_module(mod.path)
            for name in bound.__all__:
                if not isinstance(mod.members.get(name), griffe.Function | griffe.Class):
                    mod.set_member(name, as_function(name, getattr(bound, name), mod))

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Marks the examples of a package once it is loaded."""
        _mark_examples(pkg)


def _mark_examples(parent: griffe.Object) -> None:
    """Marks the examples of everything in a package as code."""
    for member in parent.members.values():
        if not isinstance(member, griffe.Alias):
            if member.docstring:
                member.docstring.value = shown(member.docstring.value)
            _mark_examples(member)
