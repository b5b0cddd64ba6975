"""Races of networks against the same networks of other libraries."""
