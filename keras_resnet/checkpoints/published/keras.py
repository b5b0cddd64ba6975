"""Files of keras.applications, of what Keras 2 had beside it, and of KerasHub: one line a file."""

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

# KerasHub (0.32), whose files lie at Kaggle, without an address of their own: preset, network, Kaggle's handle, whose
# weights they are in timm's catalogue ("": PaddleClas', of which no accuracy is published).
KERAS_HUB = (
    ("resnet_18_imagenet", "resnet18", "keras/resnetv1/keras/resnet_18_imagenet/3", "timm/resnet18.a1_in1k"),
    ("resnet_50_imagenet", "resnet50", "keras/resnetv1/keras/resnet_50_imagenet/3", "timm/resnet50.a1_in1k"),
    ("resnet_101_imagenet", "resnet101", "keras/resnetv1/keras/resnet_101_imagenet/3", "timm/resnet101.a1_in1k"),
    ("resnet_152_imagenet", "resnet152", "keras/resnetv1/keras/resnet_152_imagenet/3", "timm/resnet152.a1_in1k"),
    (
        "resnet_v2_50_imagenet",
        "resnet50v2",
        "keras/resnetv2/keras/resnet_v2_50_imagenet/3",
        "timm/resnetv2_50.a1h_in1k",
    ),
    (
        "resnet_v2_101_imagenet",
        "resnet101v2",
        "keras/resnetv2/keras/resnet_v2_101_imagenet/3",
        "timm/resnetv2_101.a1h_in1k",
    ),
    ("resnet_vd_18_imagenet", "resnet_vd_18", "keras/resnet_vd/keras/resnet_vd_18_imagenet/2", ""),
    ("resnet_vd_34_imagenet", "resnet_vd_34", "keras/resnet_vd/keras/resnet_vd_34_imagenet/2", ""),
    ("resnet_vd_50_imagenet", "resnet50d", "keras/resnet_vd/keras/resnet_vd_50_imagenet/2", ""),
    ("resnet_vd_50_ssld_imagenet", "resnet50d", "keras/resnet_vd/keras/resnet_vd_50_ssld_imagenet/2", ""),
    ("resnet_vd_50_ssld_v2_imagenet", "resnet50d", "keras/resnet_vd/keras/resnet_vd_50_ssld_v2_imagenet/2", ""),
    ("resnet_vd_50_ssld_v2_fix_imagenet", "resnet50d", "keras/resnet_vd/keras/resnet_vd_50_ssld_v2_fix_imagenet/2", ""),
    ("resnet_vd_101_imagenet", "resnet101d", "keras/resnet_vd/keras/resnet_vd_101_imagenet/2", ""),
    ("resnet_vd_101_ssld_imagenet", "resnet101d", "keras/resnet_vd/keras/resnet_vd_101_ssld_imagenet/2", ""),
    ("resnet_vd_152_imagenet", "resnet152d", "keras/resnet_vd/keras/resnet_vd_152_imagenet/2", ""),
    ("resnet_vd_200_imagenet", "resnet_vd_200", "keras/resnet_vd/keras/resnet_vd_200_imagenet/2", ""),
)
