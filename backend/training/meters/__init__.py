"""What is measured while a run trains: memory, the GPU, progress."""
