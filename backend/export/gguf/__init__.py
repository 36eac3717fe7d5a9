"""GGUF, the file of llama.cpp and what is built on it: through the writer of the `gguf` package, an optional extra."""
