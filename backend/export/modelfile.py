"""Ollama's Modelfile for a merged model, written for Ollama's source as of August 2026."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from backend.data.chat.endings import end_of_turn
from backend.data.chat.tokenizer import TextTokenizer
from backend.export import chat
from backend.export.chat import Pieces

NAME = "Modelfile"


@dataclass(frozen=True)
class Modelfile:
    """Its text, and the chat template that is in it."""

    text: str
    pieces: Pieces | None
    """None if the template is left out."""


def of(tokenizer: TextTokenizer, weights: str = ".") -> Modelfile:
    """The Modelfile for `weights`, the folder it is in or a GGUF beside it.

    Without ADAPTER, which Ollama refuses since 0.34.1: the weights are merged ones.
    """
    found = chat.pieces(tokenizer)
    if found is not None and not _is_sayable(found):
        found = None
    lines = [f"FROM {weights}"]
    if found is None:
        lines.append("# No TEMPLATE: the chat template does not write turn by turn. Ollama guesses one.")
    else:
        lines.append("# The model's own chat template, without tools.")
        lines.append(f'TEMPLATE """{template(found)}"""')
    lines += [f'PARAMETER stop "{mark}"' for mark in stops(tokenizer, found)]
    return Modelfile("\n".join(lines) + "\n", found)


def write(tokenizer: TextTokenizer, folder: Path) -> Modelfile:
    """Write it into the folder of the merged model, and let the runner begin a prompt with BOS as the template does."""
    made = of(tokenizer)
    (folder / NAME).write_text(made.text, encoding="utf-8")
    if made.pieces is not None:
        _say_bos(made.pieces, folder)
    return made


def template(found: Pieces) -> str:
    """The pieces as a Go template over `.Messages`; BOS is left to the runner."""
    user, assistant, system = found.user, found.assistant, found.system
    answer = f'{{{{ else if eq .Role "assistant" }}}}{assistant.before}{{{{ .Content }}}}{assistant.after}'
    lead = f"{{{{ if not .System }}}}{found.lead}{{{{ end }}}}" if found.lead else ""
    turns = "{{ end }}{{ end }}" + found.generation
    if system is not None:
        said = f'{{{{ if eq .Role "system" }}}}{system.before}{{{{ .Content }}}}{system.after}'
        asked = f'{{{{ else if eq .Role "user" }}}}{user.before}{{{{ .Content }}}}{user.after}'
        return lead + "{{ range .Messages }}" + said + asked + answer + turns
    said = f'{{{{ if eq .Role "system" }}}}{user.before}{{{{ .Content }}}}{found.joint}{{{{ $open = true }}}}'
    opens = f"{{{{ if not $open }}}}{user.before}{{{{ end }}}}{{{{ $open = false }}}}"
    asked = f'{{{{ else if eq .Role "user" }}}}{opens}{{{{ .Content }}}}{user.after}'
    return lead + "{{ $open := false }}{{ range .Messages }}" + said + asked + answer + turns


def stops(tokenizer: TextTokenizer, found: Pieces | None) -> list[str]:
    """Marks at which an answer ends: what ends a turn, and what would begin the user's."""
    end = end_of_turn(tokenizer)
    marks = [] if end is None else [tokenizer.decode([end])]
    if found is not None:
        ids = tokenizer.encode(found.assistant.after + found.user.before).ids
        marks += [tokenizer.decode([x]) for x in ids if x in tokenizer.special_ids]
    return list(dict.fromkeys(mark for mark in marks if mark.isprintable() and '"' not in mark))


def _say_bos(found: Pieces, folder: Path) -> None:
    """Set `add_bos_token`, by which the runner decides whether to put BOS before a prompt."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["add_bos_token"] = bool(found.begin)
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_sayable(found: Pieces) -> bool:
    """Whether nothing in the pieces has a meaning in Go's templates or in a Modelfile."""
    system = found.system or found.user
    texts = [found.generation, found.joint, found.lead]
    texts += [x for part in (found.user, found.assistant, system) for x in (part.before, part.after)]
    return not any(mark in text for text in texts for mark in ("{{", "}}", '"""')) and _is_printed(texts)


def _is_printed(texts: list[str]) -> bool:
    """Ollama's parser of Modelfiles drops what is not printable, but line feeds within quotes."""
    return all(c.isprintable() or c == "\n" for text in texts for c in text)
