"""Files of PyTorch's libraries but timm: one line a file, each naming its network."""

# torchvision: architecture, recipe, the hash in the file's name, resize, top-1, MiB of the file, whether it is
# torchvision's DEFAULT.
TORCHVISION_URL = "https://download.pytorch.org/models/"
TORCHVISION = (
    ("resnet18", "v1", "f37072fd", 256, 69.758, 44.661, True),
    ("resnet34", "v1", "b627a593", 256, 73.314, 83.275, True),
    ("resnet50", "v1", "0676ba61", 256, 76.130, 97.781, False),
    ("resnet50", "v2", "11ad3fa6", 232, 80.858, 97.79, True),
    ("resnet101", "v1", "63fe2227", 256, 77.374, 170.511, False),
    ("resnet101", "v2", "cd907fc2", 232, 81.886, 170.53, True),
    ("resnet152", "v1", "394f9c45", 256, 78.312, 230.434, False),
    ("resnet152", "v2", "f82ba261", 232, 82.284, 230.474, True),
    ("resnext50_32x4d", "v1", "7cdf4587", 256, 77.618, 95.789, False),
    ("resnext50_32x4d", "v2", "1a0047aa", 232, 81.198, 95.833, True),
    ("resnext101_32x8d", "v1", "8ba56ff5", 256, 79.312, 339.586, False),
    ("resnext101_32x8d", "v2", "110c445d", 232, 82.834, 339.673, True),
    ("resnext101_64x4d", "v1", "173b62eb", 232, 83.246, 319.318, True),
    ("wide_resnet50_2", "v1", "95faca4d", 256, 78.468, 131.82, False),  # float16
    ("wide_resnet50_2", "v2", "9ba9bcbe", 232, 81.602, 263.124, True),
    ("wide_resnet101_2", "v1", "32ee1156", 256, 78.848, 242.896, False),  # float16
    ("wide_resnet101_2", "v2", "d733dc28", 232, 82.510, 484.747, True),
)

# Facebook's ImageNet classifiers of other images: semi-supervised (ssl, YFCC-100M), semi-weakly supervised (swsl,
# Instagram; arXiv:1905.00546) and weakly supervised (wsl, Instagram; arXiv:1805.00932): architecture, recipe, file,
# top-1 (the READMEs).
FACEBOOK_URL = "https://dl.fbaipublicfiles.com/semiweaksupervision/model_files/"
SEMI_SUPERVISED = (
    ("resnet18", "ssl", "semi_supervised_resnet18-d92f0530.pth", 72.8),
    ("resnet18", "swsl", "semi_weakly_supervised_resnet18-118f1556.pth", 73.4),
    ("resnet50", "ssl", "semi_supervised_resnet50-08389792.pth", 79.3),
    ("resnet50", "swsl", "semi_weakly_supervised_resnet50-16a12f1b.pth", 81.2),
    ("resnext50_32x4d", "ssl", "semi_supervised_resnext50_32x4-ddb3e555.pth", 80.3),
    ("resnext50_32x4d", "swsl", "semi_weakly_supervised_resnext50_32x4-72679e44.pth", 82.2),
    ("resnext101_32x4d", "ssl", "semi_supervised_resnext101_32x4-dc43570a.pth", 81.0),
    ("resnext101_32x4d", "swsl", "semi_weakly_supervised_resnext101_32x4-3f87e46b.pth", 83.4),
    ("resnext101_32x8d", "ssl", "semi_supervised_resnext101_32x8-2cfe2f8b.pth", 81.7),
    ("resnext101_32x8d", "swsl", "semi_weakly_supervised_resnext101_32x8-b4712904.pth", 84.3),
    ("resnext101_32x16d", "ssl", "semi_supervised_resnext101_32x16-15fffa57.pth", 81.9),
    ("resnext101_32x16d", "swsl", "semi_weakly_supervised_resnext101_32x16-f3559a9c.pth", 84.8),
)
WEAKLY_SUPERVISED = (
    ("resnext101_32x8d", "wsl", "ig_resnext101_32x8-c38310e5.pth", 82.2),
    ("resnext101_32x16d", "wsl", "ig_resnext101_32x16-c6f796b0.pth", 84.2),
    ("resnext101_32x32d", "wsl", "ig_resnext101_32x32-e4b90b00.pth", 85.1),
    ("resnext101_32x48d", "wsl", "ig_resnext101_32x48-3e41cc8a.pth", 85.4),
)

# Hugging Face transformers: timm's weights, with a preprocessing of their own, for which no accuracy is published:
# repository, network, whose weights they are.
MICROSOFT = (
    ("resnet-18", "resnet18", "torchvision/resnet18.v1"),
    ("resnet-26", "resnet26", "timm/resnet26.bt_in1k"),
    ("resnet-34", "resnet34", "timm/resnet34.bt_in1k"),
    ("resnet-50", "resnet50", "timm/resnet50.a1_in1k"),
    ("resnet-101", "resnet101", "timm/resnet101.a1h_in1k"),
    ("resnet-152", "resnet152", "timm/resnet152.a1h_in1k"),
)

# Self-supervised networks, by family: folder, source, licence, interpolation, preprocessing.
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
    **dict.fromkeys(
        ("swav", "deepclusterv2", "selav2"),
        ("deepcluster/", "https://github.com/facebookresearch/swav", "cc-by-nc-4.0", "bilinear", "swav"),
    ),
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
    ("swav", "resnet50", "100ep", "swav_100ep_pretrain.pth.tar", "", None),
    ("swav", "resnet50", "200ep", "swav_200ep_pretrain.pth.tar", "", None),
    ("swav", "resnet50", "400ep", "swav_400ep_pretrain.pth.tar", "", None),
    ("swav", "resnet50", "800ep", "swav_800ep_pretrain.pth.tar", "", None),
    ("swav", "resnet50", "200ep_bs256", "swav_200ep_bs256_pretrain.pth.tar", "", None),
    ("swav", "resnet50", "400ep_bs256", "swav_400ep_bs256_pretrain.pth.tar", "", None),
    ("swav", "resnet50", "400ep_2x224", "swav_400ep_2x224_pretrain.pth.tar", "", None),
    ("swav", "resnet50w2", "400ep", "swav_RN50w2_400ep_pretrain.pth.tar", "", None),
    ("swav", "resnet50w4", "400ep", "swav_RN50w4_400ep_pretrain.pth.tar", "", None),
    ("swav", "resnet50w5", "400ep", "swav_RN50w5_400ep_pretrain.pth.tar", "", None),
    ("deepclusterv2", "resnet50", "400ep", "deepclusterv2_400ep_pretrain.pth.tar", "", None),
    ("deepclusterv2", "resnet50", "800ep", "deepclusterv2_800ep_pretrain.pth.tar", "", None),
    ("deepclusterv2", "resnet50", "400ep_2x224", "deepclusterv2_400ep_2x224_pretrain.pth.tar", "", None),
    ("selav2", "resnet50", "400ep", "selav2_400ep_pretrain.pth.tar", "", None),
    ("selav2", "resnet50", "400ep_2x224", "selav2_400ep_2x224_pretrain.pth.tar", "", None),
    ("dino", "resnet50", "", "dino_resnet50_pretrain/dino_resnet50_pretrain.pth", "", None),
    ("barlowtwins", "resnet50", "", "ljng/resnet50.pth", "", None),
    ("vicreg", "resnet50", "", "resnet50.pth", "", None),
    ("vicreg", "resnet50x2", "", "resnet50x2.pth", "", None),
    ("vicreg", "resnet200x2", "", "resnet200x2.pth", "", None),
)
