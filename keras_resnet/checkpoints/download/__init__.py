"""Fetches published files: mirror and proxies, resuming, archives, hashes."""
