"""Names of tensors in files: as programs leave them, and as a family has them."""
