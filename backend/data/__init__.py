"""From a file to packed token batches: formats, conversations, the report, tokens and their loss mask."""
