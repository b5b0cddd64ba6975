"""Networks as keras_hub and keras_cv want backbones."""
