"""Images and labels as batches: folders of images, and digits that are always at hand."""

from keras_resnet.data.datasets import Splits, digits, folder, splits
from keras_resnet.data.decode import read_picture
from keras_resnet.data.pictures import Pictures

__all__ = ["Pictures", "Splits", "digits", "folder", "read_picture", "splits"]
