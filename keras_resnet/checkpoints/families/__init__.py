"""How each library names and lays out the tensors of a network."""
