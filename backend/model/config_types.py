"""Values of another type than transformers' own class for the family takes: by its source text, nothing is imported.

Its configurations are strict dataclasses: a null or a text where a number is annotated ends the load of the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from backend.model import architectures
from backend.model.family import Config

_FIELD: Final = re.compile(r"^    (\w+): ([\w |\[\], ]+?) = ", re.MULTILINE)
_KINDS: Final = {
    "int": ((int,), "a whole number"),
    "float": ((float,), "a number with a decimal point"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a text"),
    "None": ((type(None),), "null"),
    "list": ((list,), "a list"),
    "dict": ((dict,), "an object"),
}
"""Parts of annotations that are checked; a field with any other is left to transformers."""
_LIST: Final = re.compile(r"list\[(\w+)\]")


def faults(text: Config) -> Iterator[str]:
    """What config.json says of a text configuration's fields that its class refuses, each as `KEY VALUE, ...`."""
    for key, kinds in _fields(str(text.get("model_type", ""))).items():
        if key in text and not any(_is(text[key], kind) for kind in kinds):
            wanted = " or ".join(_words(kind) for kind in kinds)
            said = "null" if text[key] is None else repr(text[key])[:60]
            yield f"{key} {said}, where transformers takes {wanted}"


def _is(value: Any, kind: str) -> bool:
    if of := _LIST.fullmatch(kind):
        return isinstance(value, list) and all(_is(one, of[1]) for one in value)
    return isinstance(value, _KINDS[kind][0]) and isinstance(value, bool) == (kind == "bool")


def _words(kind: str) -> str:
    of = _LIST.fullmatch(kind)
    return f"a list of {of[1]}" if of else _KINDS[kind][1]


@cache
def _fields(model_type: str) -> dict[str, tuple[str, ...]]:
    """Field -> the types that it takes, for the class with this `model_type`; only fields with recognised types."""
    found = {}
    for name, annotation in _FIELD.findall(_class(model_type)):
        kinds = tuple(part.strip() for part in annotation.split("|"))
        if all(kind in _KINDS or ((of := _LIST.fullmatch(kind)) and of[1] in _KINDS) for kind in kinds):
            found[name] = kinds
    return found


def _class(model_type: str) -> str:
    """The source text of the class; empty if there is none, or it is another class's child or not strict."""
    folder = model_type.replace("-", "_")
    names = (folder, folder.removesuffix("_text")) if folder.isidentifier() else ()
    for name in names:
        for text in architectures.source("models", name, f"configuration_{name}.py").split("\n@strict\n")[1:]:
            body = text.partition("\n\n\n")[0]
            if f'\n    model_type = "{model_type}"\n' in body and "(PreTrainedConfig)" in body.partition("\n")[0]:
                return body
    return ""
