"""Models and weights as files of other runtimes and libraries."""
