"""Tensors in files: safetensors, HDF5, Keras, PyTorch, TensorFlow."""
