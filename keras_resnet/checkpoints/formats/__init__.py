"""Tensors in files: safetensors, HDF5, Keras, NumPy, PyTorch, TensorFlow."""
