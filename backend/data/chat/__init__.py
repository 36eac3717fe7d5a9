"""Chat templates and tokenizers: conversations as text, the targets in it, and its tokens."""
