"""Model servers that occupy a GPU: recognised by their command, since many processes are just called python."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

SERVERS = {
    "Ollama": (r"ollama(_llama_server)?|ollama[-_]runner", "`ollama stop MODEL` frees it"),
    "vLLM": (r"vllm|vllm::.*|vllm\.entrypoints\..*|vllm\.v1\..*", "stop it to free it"),
    "llama.cpp": (r"llama-server|llama_cpp\.server|llama-box", "stop it to free it"),
    "SGLang": (r"sglang|sglang::.*|sglang\.launch_server", "stop it to free it"),
    "LM Studio": (r"lm[- ]studio|llmster|lms", "`lms unload --all` frees it"),
    "text-generation-inference": (r"text-generation-(server|launcher)", "stop it to free it"),
}
"""Name -> what its process, or a word of its command without the folder, looks like; and how its memory is freed."""
_MOST_WORDS = 6
"""How many words of the command are checked: later ones are arguments, such as a model's name."""


def server_of(name: str, command: Sequence[str]) -> str | None:
    """The server that a process belongs to; None for any other program."""
    words = [name, *(PurePath(word).name for word in command[:_MOST_WORDS])]
    for server, (pattern, _) in SERVERS.items():
        if any(re.fullmatch(pattern, word, re.IGNORECASE) for word in words):
            return server
    return None


def how_to_free(server: str) -> str:
    """What the user can do, in a few words."""
    return SERVERS[server][1]
