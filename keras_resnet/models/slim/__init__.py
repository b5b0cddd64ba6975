"""TF-Slim's functions over Keras tensors."""
