"""Weights as files: catalogue, download, formats, families."""
