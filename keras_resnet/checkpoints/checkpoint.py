"""A published weights file: its network, preprocessing, accuracy, licence, and what proves that a file is it."""

from dataclasses import dataclass
from typing import Literal

from keras_resnet.architecture.planner import plan
from keras_resnet.architecture.rows import find_row
from keras_resnet.architecture.variant import Variant

Size = Literal["test", "train"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An entry of the catalogue: one published weights file, with its network, preprocessing, accuracy and licence.

    Example:

        >>> entry = keras_resnet.list_weights()["timm/resnet50.a1_in1k"]
        >>> entry.image_size, entry.top1, entry.test_image_size, entry.test_top1
        (224, 80.382, 288, 81.24)

    Attributes:
        key: the name of the weights in the catalogue, such as "timm/resnet50.a1_in1k".
        family: who published the file, or how it was trained: "timm", "moco"; what the key begins with.
        network: the network, such as "ResNet50": the name of a builder, or a name that `ResNet` takes.
        style: the style of the network, such as "keras", "torch" or "slim".
        url: the address of the file; "" if it has none.
        handle: the name of the file at Kaggle, for `kagglehub.model_download`, if it has no address.
        digest: "sha256:" or "md5:" and the published hash, or its first digits, 8 or more; "" if no hash is published.
        file_size: the size of the file in MiB (2**20 bytes), if it is published (by torchvision alone).
        classes: the number of classes; 1000: ImageNet's; 1001: these behind a background class; 11221, 11586, 11821 and
            21843: of larger data sets. None: a backbone without classifier.
        image_size: height and width, in pixels, of the images that the network was trained for.
        resize: the length in pixels to which the shorter side is resized before `image_size` is cropped from the
            centre.
        top1: the published top-1 accuracy at `image_size` on ImageNet's validation images, in percent, from keras.io,
            torchvision, the READMEs of TF-Slim, Facebook's models, image-classifiers and the converter of ResNet-RS,
            timm's table of results or that of MoCo v3's linear classifiers. None: no accuracy is published for this
            file and preprocessing.
        test_image_size: a larger image size, at which the file is more accurate. None: none is published.
        test_resize: as `resize`, for `test_image_size`.
        test_top1: as `top1`, at `test_image_size`.
        squash: whether both sides are resized to `resize` instead, so that the image becomes a square.
        floor: how a crop offset between two pixels is rounded: down if True, else to the even number.
        interpolation: "bilinear" or "bicubic": how the image is resized.
        preprocessing: how RGB in [0, 255] is scaled: "caffe", "tf", "torch", "rgb_means", "swav" (as "torch", with a
            standard deviation of 0.228 in red) or "none"; see `keras_resnet.models.preprocessing`.
        licence: the licence of the weights; "" if none is stated (keras.applications, TF-Slim and torchvision state one
            for their code only).
        source: the page that describes the weights.
        default: whether `weights="imagenet"` means this file, for its network in its style.
        member: the name of the checkpoint in the file, if that is a .tar.gz.
        same_as: the key of the entry with the same weights in another library's file, if this one was converted.
    """

    key: str
    family: str
    network: str
    style: str
    url: str = ""
    handle: str = ""
    digest: str = ""
    file_size: float | None = None
    classes: int | None = 1000
    image_size: int = 224
    resize: int = 256
    top1: float | None = None
    test_image_size: int | None = None
    test_resize: int | None = None
    test_top1: float | None = None
    squash: bool = False
    floor: bool = False
    interpolation: str = "bilinear"
    preprocessing: str = "torch"
    licence: str = ""
    source: str
    default: bool = False
    member: str = ""
    same_as: str = ""

    @property
    def variant(self) -> Variant:
        """The network in the style of the weights, as a `Variant`."""
        return find_row(self.network).in_style(self.style)

    @property
    def parameters(self) -> int:
        """The number of trainable parameters, with the classifier if the file has one."""
        return plan(self.variant).parameters(self.classes, trainable=True)

    @property
    def image_sizes(self) -> set[int]:
        """The image sizes to train and to test with, in pixels."""
        return {self.image_size, self.test_image_size or self.image_size}

    @property
    def best_top1(self) -> float | None:
        """The published top-1 at the test size, if there is one, else at the training size."""
        return self.top1 if self.test_top1 is None else self.test_top1

    @property
    def name(self) -> str:
        """The file's path below `models` in Keras' cache: keras.applications' as Keras has it, others by their URL."""
        path = self.url.partition("://")[2]
        if not path:
            return ""
        return path.rpartition("/")[2] if self.style == "keras" else f"keras_resnet/{path}"
