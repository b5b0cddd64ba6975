"""The facts about published weights files, as their sources state them: one line a file, each naming its network."""

# keras.applications: network, MD5 with and without classifier, top-1 (keras.src.applications.resnet, keras.io).
KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
KERAS = (
    ("resnet50", "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626", 74.9),
    ("resnet101", "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21", 76.4),
    ("resnet152", "100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c", 76.6),
    ("resnet50v2", "3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917", 76.0),
    ("resnet101v2", "6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5", 77.2),
    ("resnet152v2", "a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33", 78.0),
)

# keras-applications' ResNeXt: the file's network, ours, MD5 with and without classifier, top-1 (qubvel's README).
RESNEXT = (
    ("resnext50", "resnext50_32x4d", "67a5b30d522ed92f75a1f16eef299d1a", "62527c363bdd9ec598bed41947b379fc", 77.36),
    ("resnext101", "resnext101_32x4d", "34fb605428fcc7aa4d62f44404c11509", "0f678c91647380debd923963594981b3", 78.48),
)

# tf.keras.applications.resnet_rs: depth, image size, MD5 with and without classifier, top-1 as who converted the files
# measured it with these (github.com/sebastian-sz/resnet-rs-keras).
RESNET_RS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet_rs/"
RESNET_RS = (
    (50, 160, "69d9d925319f00a8bdd4af23c04e4102", "90daa68cd26c95aa6c5d25451e095529", 78.9),
    (101, 160, "544b3434d00efc199d66e9058c7f3379", "82d5b90c5ce9d710da639d6216d0f979", 80.3),
    (101, 192, "eb285be29ab42cf4835ff20a5e3b5d23", "f9a0f6b85faa9c3db2b6e233c4eebb5b", 81.3),
    (152, 192, "8d72a301ed8a6f11a47c4ced4396e338", "5fbf7ac2155cb4d5a6180ee9e3aa8704", 82.1),
    (152, 224, "31a46a92ab21b84193d0d71dd8c3d03b", "dc8b2cba2005552eafa3167f00dc2133", 82.9),
    (152, 256, "ba6271b99bdeb4e7a9b15c05964ef4ad", "fa79794252dbe47c89130f65349d654a", 83.0),
    (200, 256, "a76930b741884e09ce90fa7450747d5f", "bbdb3994718dfc0d1cd45d7eff3f3d9c", 83.4),
    (270, 256, "20d575825ba26176b03cb51012a367a8", "2c42ecb22e35f3e23d2f70babce0a2aa", 83.8),
    (350, 256, "f4a039dc3c421321b7fc240494574a68", "6e44b55025bbdff8f51692a023143d66", 84.0),
    (350, 320, "7ccb858cc738305e8ceb3c0140bee393", "ab0c1f9079d2f85a9facbd2c88aa6079", 84.3),
    (420, 320, "ae0eb9bed39e64fc8d7e0db4018dc7e8", "fe6217c32be8305b1889657172b98884", 84.4),
)

# image-classifiers (`classification_models`): network, data and classes as the files' names have them, MD5 with and
# without classifier (its weights.py), top-1 (its README). Nobody states a licence.
CLASSIFIERS_URL = "https://github.com/qubvel/classification_models/releases/download/0.0.1/"
CLASSIFIERS = (
    ("resnet18", "imagenet_1000", "64da73012bb70e16c901316c201d9803", "318e3ac0cd98d51e917526c9f62f0b50", 68.24),
    ("resnet34", "imagenet_1000", "2ac8277412f65e5d047f255bcbd10383", "8caaa0ad39d927cb8ba5385bf945d582", 72.17),
    ("resnet50", "imagenet_1000", "d0feba4fc650e68ac8c19166ee1ba87f", "db3b217156506944570ac220086f09b6", 74.81),
    (
        "resnet50",
        "imagenet11k-places365ch_11586",
        "bb8963db145bc9906452b3d9c9917275",
        "d8bf4e7ea082d9d43e37644da217324a",
        None,
    ),
    ("resnet101", "imagenet_1000", "9489ed2d5d0037538134c880167622ad", "1016e7663980d5597a4e224d915c342d", 76.58),
    ("resnet152", "imagenet_1000", "1efffbcc0708fb0d46a9d096ae14f905", "5867b94098df4640918941115db93734", 76.66),
    ("resnet152", "imagenet11k_11221", "24791790f6ef32f274430ce4a2ffee5d", "25ab66dec217cb774a27d0f3659cafb3", None),
    ("resnext50", "imagenet_1000", "7c5c40381efb044a8dea5287ab2c83db", "7ade5c8aac9194af79b1724229bdaa50", None),
    ("resnext101", "imagenet_1000", "432536e85ee811568a0851c328182735", "91fe0126320e49f6ee607a0719828c7e", None),
    ("seresnet18", "imagenet_1000", "9a925fd96d050dbf7cc4c54aabfcf749", "a46e5cd4114ac946ecdc58741e8d92ea", 69.41),
    ("seresnet34", "imagenet_1000", "863976b3bd439ff0cc05c91821218a6b", "3348fd049f1f9ad307c070ff2b6ec4cb", 72.60),
    ("seresnet50", "imagenet_1000", "ff0ce1ed5accaad05d113ecef2d29149", "043777781b0d5ca756474d60bf115ef1", 76.44),
    ("seresnet101", "imagenet_1000", "5c31adee48c82a66a32dee3d442f5be8", "1c373b0c196918713da86951d1239007", 77.92),
    ("seresnet152", "imagenet_1000", "96fc14e3a939d4627b0174a0e80c7371", "f58d4c1a511c7445ab9a2c2b83ee4e7b", 78.34),
    ("seresnext50", "imagenet_1000", "5310dcd58ed573aecdab99f8df1121d5", "b0f23d2e1cd406d67335fb92d85cc279", 78.74),
    ("seresnext101", "imagenet_1000", "be5b26b697a0f7f11efaa1bb6272fc84", "e48708cbe40071cc3356016c37f6c9c7", 79.88),
    ("senet154", "imagenet_1000", "c8eac0e1940ea4d8a2e0b2eb0cdf4e75", "d854ff2cd7e6a87b05a8124cd283e0f2", 81.06),
)

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

# torchvision: architecture, recipe, the hash in the file's name, resize, top-1, whether it is torchvision's DEFAULT.
TORCHVISION_URL = "https://download.pytorch.org/models/"
TORCHVISION = (
    ("resnet18", "v1", "f37072fd", 256, 69.758, True),
    ("resnet34", "v1", "b627a593", 256, 73.314, True),
    ("resnet50", "v1", "0676ba61", 256, 76.130, False),
    ("resnet50", "v2", "11ad3fa6", 232, 80.858, True),
    ("resnet101", "v1", "63fe2227", 256, 77.374, False),
    ("resnet101", "v2", "cd907fc2", 232, 81.886, True),
    ("resnet152", "v1", "394f9c45", 256, 78.312, False),
    ("resnet152", "v2", "f82ba261", 232, 82.284, True),
    ("resnext50_32x4d", "v1", "7cdf4587", 256, 77.618, False),
    ("resnext50_32x4d", "v2", "1a0047aa", 232, 81.198, True),
    ("resnext101_32x8d", "v1", "8ba56ff5", 256, 79.312, False),
    ("resnext101_32x8d", "v2", "110c445d", 232, 82.834, True),
    ("resnext101_64x4d", "v1", "173b62eb", 232, 83.246, True),
    ("wide_resnet50_2", "v1", "95faca4d", 256, 78.468, False),  # float16
    ("wide_resnet50_2", "v2", "9ba9bcbe", 232, 81.602, True),
    ("wide_resnet101_2", "v1", "32ee1156", 256, 78.848, False),  # float16
    ("wide_resnet101_2", "v2", "d733dc28", 232, 82.510, True),
)

# Semi-supervised and semi-weakly supervised (arXiv:1905.00546): architecture, recipe, file, top-1 (the README).
FACEBOOK_URL = "https://dl.fbaipublicfiles.com/semiweaksupervision/model_files/"
FACEBOOK = (
    ("resnet18", "ssl", "semi_supervised_resnet18-d92f0530.pth", 72.8),
    ("resnet18", "swsl", "semi_weakly_supervised_resnet18-118f1556.pth", 73.4),
    ("resnet50", "ssl", "semi_supervised_resnet50-08389792.pth", 79.3),
    ("resnet50", "swsl", "semi_weakly_supervised_resnet50-16a12f1b.pth", 81.2),
)

# Where timm's files were published first ("hub": nowhere else): URL, interpolation, preprocessing, licence.
_GITHUB = "https://github.com/{}/releases/download/"
TIMM_ORIGINS = {
    "rw": (_GITHUB.format("rwightman/pytorch-image-models"), "bicubic", "torch", "apache-2.0"),
    "hf": (_GITHUB.format("huggingface/pytorch-image-models"), "bicubic", "torch", "apache-2.0"),
    "gluon": (_GITHUB.format("rwightman/pytorch-pretrained-gluonresnet"), "bicubic", "torch", "apache-2.0"),
    "pt": (TORCHVISION_URL, "bilinear", "torch", "bsd-3-clause"),
    "fb": (FACEBOOK_URL, "bilinear", "torch", "cc-by-nc-4.0"),
    "hub": ("https://huggingface.co/timm/", "bicubic", "tf", "apache-2.0"),
    "bamboo": ("https://huggingface.co/timm/", "bicubic", "torch", ""),
}
# timm: architecture, tag, origin, file there, image size, crop_pct, top-1 (its results of 2026-08-08; None: a body).
TIMM = (
    ("resnet18", "a1_in1k", "hf", "v0.1-rsb-weights/resnet18_a1_0-d63eafa0.pth", 224, 0.95, 71.504),
    ("resnet18", "a2_in1k", "hf", "v0.1-rsb-weights/resnet18_a2_0-b61bd467.pth", 224, 0.95, 70.634),
    ("resnet18", "a3_in1k", "hf", "v0.1-rsb-weights/resnet18_a3_0-40c531c8.pth", 160, 0.95, 65.67),
    ("resnet18", "tv_in1k", "pt", "resnet18-f37072fd.pth", 224, 0.875, 69.752),
    ("resnet18", "fb_ssl_yfcc100m_ft_in1k", "fb", "semi_supervised_resnet18-d92f0530.pth", 224, 0.875, 72.636),
    ("resnet18", "fb_swsl_ig1b_ft_in1k", "fb", "semi_weakly_supervised_resnet18-118f1556.pth", 224, 0.875, 73.286),
    ("resnet18", "gluon_in1k", "gluon", "v0.1/gluon_resnet18_v1b-0757602b.pth", 224, 0.875, 70.844),
    ("resnet34", "a1_in1k", "hf", "v0.1-rsb-weights/resnet34_a1_0-46f8f793.pth", 224, 0.95, 76.42),
    ("resnet34", "a2_in1k", "hf", "v0.1-rsb-weights/resnet34_a2_0-82d47d71.pth", 224, 0.95, 75.52),
    ("resnet34", "a3_in1k", "hf", "v0.1-rsb-weights/resnet34_a3_0-a20cabb6.pth", 160, 0.95, 70.58),
    ("resnet34", "bt_in1k", "rw", "v0.1-weights/resnet34-43635321.pth", 224, 0.875, 75.176),
    ("resnet34", "ra4_e3600_r224_in1k", "hub", "", 224, 0.9, 77.492),
    ("resnet34", "tv_in1k", "pt", "resnet34-b627a593.pth", 224, 0.875, 73.298),
    ("resnet34", "gluon_in1k", "gluon", "v0.1/gluon_resnet34_v1b-c6d82d59.pth", 224, 0.875, 74.574),
    ("resnet26", "bt_in1k", "rw", "v0.1-weights/resnet26-9aa10e23.pth", 224, 0.875, 75.298),
    ("resnet50", "a1_in1k", "rw", "v0.1-rsb-weights/resnet50_a1_0-14fe96d1.pth", 224, 0.95, 80.382),
    ("resnet50", "a1h_in1k", "hf", "v0.1-rsb-weights/resnet50_a1h2_176-001a1197.pth", 176, 0.9, 79.264),
    ("resnet50", "a2_in1k", "hf", "v0.1-rsb-weights/resnet50_a2_0-a2746f79.pth", 224, 0.95, 79.828),
    ("resnet50", "a3_in1k", "hf", "v0.1-rsb-weights/resnet50_a3_0-59cae1ef.pth", 160, 0.95, 75.994),
    ("resnet50", "b1k_in1k", "hf", "v0.1-rsb-weights/resnet50_b1k-532a802a.pth", 224, 0.95, 79.564),
    ("resnet50", "b2k_in1k", "hf", "v0.1-rsb-weights/resnet50_b2k-1ba180c1.pth", 224, 0.95, 79.388),
    ("resnet50", "c1_in1k", "hf", "v0.1-rsb-weights/resnet50_c1-5ba5e060.pth", 224, 0.95, 79.766),
    ("resnet50", "c2_in1k", "hf", "v0.1-rsb-weights/resnet50_c2-d01e05b2.pth", 224, 0.95, 79.868),
    ("resnet50", "d_in1k", "hf", "v0.1-rsb-weights/resnet50_d-f39db8af.pth", 224, 0.95, 79.904),
    ("resnet50", "ram_in1k", "hf", "v0.1-weights/resnet50_ram-a26f946b.pth", 224, 0.875, 79.034),
    ("resnet50", "am_in1k", "hf", "v0.1-weights/resnet50_am-6c502b37.pth", 224, 0.875, 79.004),
    ("resnet50", "ra_in1k", "hf", "v0.1-weights/resnet50_ra-85ebb6e5.pth", 224, 0.875, 78.82),
    ("resnet50", "bt_in1k", "hf", "v0.1-weights/rw_resnet50-86acaeed.pth", 224, 0.875, 78.444),
    ("resnet50", "tv_in1k", "pt", "resnet50-0676ba61.pth", 224, 0.875, 76.156),
    ("resnet50", "tv2_in1k", "pt", "resnet50-11ad3fa6.pth", 176, 0.875, 79.434),
    ("resnet50", "bamboo", "bamboo", "", 224, 1.0, None),
    ("resnet50", "fb_ssl_yfcc100m_ft_in1k", "fb", "semi_supervised_resnet50-08389792.pth", 224, 0.875, 79.252),
    ("resnet50", "fb_swsl_ig1b_ft_in1k", "fb", "semi_weakly_supervised_resnet50-16a12f1b.pth", 224, 0.875, 81.146),
    ("resnet50", "gluon_in1k", "gluon", "v0.1/gluon_resnet50_v1b-0ebe02e2.pth", 224, 0.875, 77.58),
    ("resnet101", "a1h_in1k", "rw", "v0.1-rsb-weights/resnet101_a1h-36d3f2aa.pth", 224, 0.95, 81.95),
    ("resnet101", "a1_in1k", "hf", "v0.1-rsb-weights/resnet101_a1_0-cdcb52a9.pth", 224, 0.95, 81.494),
    ("resnet101", "a2_in1k", "hf", "v0.1-rsb-weights/resnet101_a2_0-6edb36c7.pth", 224, 0.95, 81.344),
    ("resnet101", "a3_in1k", "hf", "v0.1-rsb-weights/resnet101_a3_0-1db14157.pth", 160, 0.95, 77.928),
    ("resnet101", "tv_in1k", "pt", "resnet101-63fe2227.pth", 224, 0.875, 77.404),
    ("resnet101", "tv2_in1k", "pt", "resnet101-cd907fc2.pth", 176, 0.875, 79.908),
    ("resnet101", "gluon_in1k", "gluon", "v0.1/gluon_resnet101_v1b-3b017079.pth", 224, 0.875, 79.306),
    ("resnet152", "a1h_in1k", "rw", "v0.1-rsb-weights/resnet152_a1h-dc400468.pth", 224, 0.95, 82.818),
    ("resnet152", "a1_in1k", "hf", "v0.1-rsb-weights/resnet152_a1_0-2eee8a7a.pth", 224, 0.95, 81.998),
    ("resnet152", "a2_in1k", "hf", "v0.1-rsb-weights/resnet152_a2_0-b4c6978f.pth", 224, 0.95, 81.764),
    ("resnet152", "a3_in1k", "hf", "v0.1-rsb-weights/resnet152_a3_0-134d4688.pth", 160, 0.95, 78.896),
    ("resnet152", "tv_in1k", "pt", "resnet152-394f9c45.pth", 224, 0.875, 78.33),
    ("resnet152", "tv2_in1k", "pt", "resnet152-f82ba261.pth", 176, 0.875, 80.222),
    ("resnet152", "gluon_in1k", "gluon", "v0.1/gluon_resnet152_v1b-c1edb0dd.pth", 224, 0.875, 79.712),
    ("resnext101_32x4d", "gluon_in1k", "gluon", "v0.1/gluon_resnext101_32x4d-b253c8c4.pth", 224, 0.875, 80.336),
    ("resnetv2_18", "ra4_e3600_r224_in1k", "hub", "", 224, 0.9, 73.572),
    ("resnetv2_34", "ra4_e3600_r224_in1k", "hub", "", 224, 0.9, 77.626),
    ("resnetv2_50", "a1h_in1k", "hub", "", 224, 0.95, 80.41),
    ("resnetv2_101", "a1h_in1k", "hub", "", 224, 0.95, 82.042),
)

# Hugging Face transformers: timm's weights, with a preprocessing of their own, for which no accuracy is published:
# repository, network.
MICROSOFT = (
    ("resnet-18", "resnet18"),
    ("resnet-26", "resnet26"),
    ("resnet-34", "resnet34"),
    ("resnet-50", "resnet50"),
    ("resnet-101", "resnet101"),
    ("resnet-152", "resnet152"),
)

# Self-supervised ResNet-50, by family: folder, source, licence, interpolation, preprocessing.
SELF_SUPERVISED_URL = "https://dl.fbaipublicfiles.com/"
SELF_SUPERVISED_FAMILIES = {
    "moco": (
        "moco/moco_checkpoints/",
        "https://github.com/facebookresearch/moco",
        "cc-by-nc-4.0 (README), mit (LICENSE)",
        "bilinear",
        "torch",
    ),
    "mocov3": ("moco-v3/", "https://github.com/facebookresearch/moco-v3", "cc-by-nc-4.0", "bilinear", "torch"),
    "swav": ("deepcluster/", "https://github.com/facebookresearch/swav", "cc-by-nc-4.0", "bilinear", "swav"),
    "dino": ("dino/", "https://github.com/facebookresearch/dino", "apache-2.0", "bicubic", "torch"),
    "barlowtwins": ("barlowtwins/", "https://github.com/facebookresearch/barlowtwins", "mit", "bilinear", "torch"),
    "vicreg": ("vicreg/", "https://github.com/facebookresearch/vicreg", "mit", "bilinear", "torch"),
}
# Family, network, tag, file in its folder, first digits of its MD5, top-1 (None: a body).
SELF_SUPERVISED = (
    ("moco", "resnet50", "v1_200ep", "moco_v1_200ep/moco_v1_200ep_pretrain.pth.tar", "b251726a", None),
    ("moco", "resnet50", "v2_200ep", "moco_v2_200ep/moco_v2_200ep_pretrain.pth.tar", "59fd9945", None),
    ("moco", "resnet50", "v2_800ep", "moco_v2_800ep/moco_v2_800ep_pretrain.pth.tar", "a04e12f8", None),
    ("mocov3", "resnet50", "100ep", "r-50-100ep/r-50-100ep.pth.tar", "", None),
    ("mocov3", "resnet50", "300ep", "r-50-300ep/r-50-300ep.pth.tar", "", None),
    ("mocov3", "resnet50", "1000ep", "r-50-1000ep/r-50-1000ep.pth.tar", "", None),
    ("mocov3", "resnet50", "100ep_linear", "r-50-100ep/linear-100ep.pth.tar", "", 68.9),
    ("mocov3", "resnet50", "300ep_linear", "r-50-300ep/linear-300ep.pth.tar", "", 72.8),
    ("mocov3", "resnet50", "1000ep_linear", "r-50-1000ep/linear-1000ep.pth.tar", "", 74.6),
    ("swav", "resnet50", "800ep", "swav_800ep_pretrain.pth.tar", "", None),
    ("dino", "resnet50", "", "dino_resnet50_pretrain/dino_resnet50_pretrain.pth", "", None),
    ("barlowtwins", "resnet50", "", "ljng/resnet50.pth", "", None),
    ("vicreg", "resnet50", "", "resnet50.pth", "", None),
)
