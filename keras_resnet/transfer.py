"""Transfer learning: a new classifier on a pretrained backbone, frozen layers, fine-tuning by stages."""

from keras_resnet.training.transfer import classifier, freeze, quicken_norms, regressor, stages

__all__ = ["classifier", "freeze", "quicken_norms", "regressor", "stages"]
