"""PyTorch's files, read without executing anything."""
