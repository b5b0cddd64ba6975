"""Weights of a model: found, compared, loaded, saved."""
