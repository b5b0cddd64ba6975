"""Scripts of the kind that were written around TF-Slim, ported: the import and the arg_scope changed."""
