"""The catalogue: which published weights exist, where they lie, and what proves that a file is theirs."""

from dataclasses import dataclass

from keras_resnet.variants import (
    RESNET50,
    RESNET50V2,
    RESNET101,
    RESNET101V2,
    RESNET152,
    RESNET152V2,
    Variant,
)


@dataclass(frozen=True)
class Checkpoint:
    """One published weights file."""

    url: str
    md5: str


def imagenet(variant: Variant, include_top: bool) -> Checkpoint | None:
    """The ImageNet weights of a network in its lineage, with or without the classifier; None where there are none."""
    if variant not in _KERAS_APPLICATIONS:
        return None
    suffix = "" if include_top else "_notop"
    return Checkpoint(
        "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
        f"{variant.name}_weights_tf_dim_ordering_tf_kernels{suffix}.h5",
        _KERAS_APPLICATIONS[variant][0 if include_top else 1],
    )


# MD5 with top, MD5 without (keras.src.applications.resnet, Keras 3.15.1)
_KERAS_APPLICATIONS = {
    RESNET50: ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    RESNET101: ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    RESNET152: ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    RESNET50V2: ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
    RESNET101V2: ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    RESNET152V2: ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
}
