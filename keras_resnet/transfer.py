"""Networks with a classifier for other classes: a new top, frozen layers, stages."""

from keras_resnet.training.transfer import classifier, freeze, quicken_norms, stages

__all__ = ["classifier", "freeze", "quicken_norms", "stages"]
