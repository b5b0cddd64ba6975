"""Files of Google: TF-Slim's archives, and BiT's arrays of NumPy."""

# TF-Slim: its name of the network, top-1 (its README).
SLIM = (
    ("resnet_v1_50", 75.2),
    ("resnet_v1_101", 76.4),
    ("resnet_v1_152", 76.8),
    ("resnet_v2_50", 75.6),
    ("resnet_v2_101", 77.0),
    ("resnet_v2_152", 77.8),
)
# By version: date, classes (v2: first a background), image size, resize, squash, preprocessing. v1 is evaluated as VGG
# is; v2 as Inception: the middle 0.875 of the image, resized to 299x299 (floor(299 / 0.875) is 341).
SLIM_VERSIONS = {
    1: ("2016_08_28", 1000, 224, 256, False, "rgb_means"),
    2: ("2017_04_14", 1001, 299, 341, True, "tf"),
}

# BiT (arXiv:1912.11370): its name of the network, ours. Of each there are three files: trained on ImageNet (S), on
# ImageNet-21k (M), and on both.
BIT_URL = "https://storage.googleapis.com/bit_models/"
BIT = (
    ("R50x1", "resnetv2_50x1_bit"),
    ("R50x3", "resnetv2_50x3_bit"),
    ("R101x1", "resnetv2_101x1_bit"),
    ("R101x3", "resnetv2_101x3_bit"),
    ("R152x2", "resnetv2_152x2_bit"),
    ("R152x4", "resnetv2_152x4_bit"),
)
