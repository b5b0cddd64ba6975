"""TensorFlow's checkpoints, of both formats."""
