"""The process that renders chat templates: a template is a program, and this process may be killed without harm.

It reads requests from its standard input and writes answers to its standard output, each behind its length. It limits
itself to so much memory and processor time; renderer.py notices if it dies.
"""

from __future__ import annotations

import json
import pickle
import resource
import struct
import sys
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

if TYPE_CHECKING:
    import jinja2

GENERATION_OPEN, GENERATION_CLOSE = "\U0010fff0", "\U0010fff1"
"""Written around the content of `{% generation %}` on request; private-use characters, as all marks are."""
SECONDS = 5
"""Seconds of processor time for one rendering."""
MEMORY_BYTES = 256 << 20
MEAN_SECONDS, MEAN_SECONDS_PER_BYTE = 0.01, 1e-6
"""Seconds of processor time for each of many renderings on average, and for each byte of the request."""
HEAD = struct.Struct("<Q")
Kind = Literal["text", "refusal", "broken", "limit"]
_KINDS: tuple[Kind, ...] = ("text", "refusal", "broken", "limit")


class Request(NamedTuple):
    """Texts to be rendered, one for each of `variables`."""

    source: str
    """The template."""
    variables: list[bytes]
    """Pickled; keyword arguments of the rendering."""
    generation_marks: bool = False
    """Mark the content of `{% generation %}`."""
    marks_clock: bool = False
    """Write GENERATION_OPEN for any date or time."""


class Answer(NamedTuple):
    """What became of it."""

    kind: Kind
    """`text`; `refusal`: the template raised an error; `broken`: it is no template; `limit`: it took too much."""
    text: str
    """The text, or why there is none."""


def main() -> None:
    """Answer requests until standard input closes: for each text an answer, as soon as there is one."""
    import jinja2.ext
    import jinja2.sandbox

    assert jinja2
    _limit_memory()
    allowed = SECONDS + 1.0
    while (content := read(sys.stdin.buffer)) is not None:
        request = Request(*pickle.loads(content))  # the parent's own
        for variables in request.variables:
            allowed += MEAN_SECONDS + MEAN_SECONDS_PER_BYTE * len(variables)
            _limit_time(allowed)
            write(sys.stdout.buffer, encoded(_answered(request, variables)))


def read(stream: BinaryIO) -> bytes | None:
    """A message; None if the stream has ended."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    size = HEAD.unpack(head)[0]
    content = stream.read(size)
    return content if len(content) == size else None


def write(stream: BinaryIO, content: bytes) -> None:
    """Write a message. Raises OSError if nobody reads it."""
    stream.write(HEAD.pack(len(content)) + content)
    stream.flush()


def encoded(answer: Answer) -> bytes:
    """An answer as bytes: nothing that the parent would have to believe."""
    return bytes([_KINDS.index(answer.kind)]) + answer.text.encode("utf-8", "surrogatepass")


def decoded(content: bytes) -> Answer:
    """The answer of these bytes, with U+FFFD for lone surrogates, which no tokenizer takes."""
    text = content[1:].decode("utf-8", "surrogatepass")
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return Answer(_KINDS[content[0]], text)


def _answered(request: Request, variables: bytes) -> Answer:
    try:
        return _rendered(request, pickle.loads(variables))
    except MemoryError:
        return Answer("limit", f"more than {MEMORY_BYTES >> 20} MB of memory on")


def _rendered(request: Request, variables: dict[str, Any]) -> Answer:
    import jinja2

    try:
        template = _compiled(request.source, request.generation_marks)
    except MemoryError:
        raise
    except jinja2.TemplateSyntaxError as error:
        return Answer("broken", f"the model's chat template is broken on line {error.lineno} ({error.message})")
    except Exception as error:  # noqa: BLE001 - such as RecursionError
        return Answer("broken", f"the model's chat template can't be compiled ({type(error).__name__})")
    clock = {"strftime_now": lambda form: GENERATION_OPEN} if request.marks_clock else {}
    try:
        return Answer("text", template.render(**variables, **clock))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a template is a program: it may raise anything
        return Answer("refusal", str(error).split("\n", 1)[0] or type(error).__name__)


def _limit_memory() -> None:
    """Limit memory to what the process has now plus MEMORY_BYTES; if the system ends it, there is no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with suppress(OSError, ValueError, IndexError):  # no such file on this system
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_BYTES, resource.RLIM_INFINITY))


def _limit_time(allowed: float) -> None:
    """Let the system end the process after SECONDS of this rendering, or `allowed` seconds of all of them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = min(used.ru_utime + used.ru_stime + SECONDS, allowed)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (max(1, round(most)), resource.RLIM_INFINITY))


@cache
def _compiled(source: str, generation_marks: bool) -> jinja2.Template:
    return _environment(generation_marks).from_string(source)


@cache
def _environment(generation_marks: bool) -> jinja2.Environment:
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    extensions: list[Any] = [_generation_tag(generation_marks), jinja2.ext.loopcontrols]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _generation_tag(marks: bool) -> type[jinja2.ext.Extension]:
    """`{% generation %}...{% endgeneration %}`: the text within, between `marks` if masking.py asks for them."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_inner"), [], [], body).set_lineno(line)

        def _inner(self, caller: Any) -> str:
            return f"{GENERATION_OPEN}{caller()}{GENERATION_CLOSE}" if marks else str(caller())

    return Generation


def _raise(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """json.dumps: jinja2's own filter escapes HTML characters."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


if __name__ == "__main__":
    main()
