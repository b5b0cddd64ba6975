"""timm's files of its `resnet.py`, `resnetv2.py` and `senet.py`: one line a file, and why some are in no catalogue."""

from keras_resnet.checkpoints.published.torch import FACEBOOK_URL, TORCHVISION_URL

# What the files of an origin share, which first published them ("hub", "sw", "bit", "bamboo": nowhere but on the hub):
# URL, interpolation, preprocessing, classes (None: a backbone), licence.
_GITHUB = "https://github.com/{}/releases/download/"
_RW, _HF = map(_GITHUB.format, ("rwightman/pytorch-image-models", "huggingface/pytorch-image-models"))
_HUB = "https://huggingface.co/timm/"
_OWN = ("bicubic", "torch", 1000, "apache-2.0")
TIMM_ORIGINS = {
    "rw": (_RW + "v0.1-weights/", *_OWN),
    "rw_attn": (_RW + "v0.1-attn-weights/", *_OWN),
    "rw_rs": (_RW + "v0.1-rs-weights/", *_OWN),
    "rw_rsb": (_RW + "v0.1-rsb-weights/", *_OWN),
    "rw_tpu": (_RW + "v0.1-tpu-weights/", *_OWN),
    "rw_tresnet": (_RW + "v0.1-tresnet/", *_OWN),
    "senet": (_RW + "v0.1-weights/", "bilinear", "torch", 1000, "apache-2.0"),
    "cadene": (_RW + "v0.1-cadene/", "bilinear", "torch", 1000, "apache-2.0"),
    "hf": (_HF + "v0.1-weights/", *_OWN),
    "hf_rsb": (_HF + "v0.1-rsb-weights/", *_OWN),
    "gluon": (_GITHUB.format("rwightman/pytorch-pretrained-gluonresnet") + "v0.1/", *_OWN),
    "pt": (TORCHVISION_URL, "bilinear", "torch", 1000, "bsd-3-clause"),
    "fb": (FACEBOOK_URL, "bilinear", "torch", 1000, "cc-by-nc-4.0"),
    "ig": (TORCHVISION_URL, "bilinear", "torch", 1000, "cc-by-nc-4.0"),
    "hub": (_HUB, "bicubic", "tf", 1000, "apache-2.0"),
    "sw": (_HUB, *_OWN),
    "sw_12k": (_HUB, "bicubic", "torch", 11821, "apache-2.0"),
    "bit": (_HUB, "bilinear", "tf", 1000, "apache-2.0"),
    "bit_21k": (_HUB, "bilinear", "tf", 21843, "apache-2.0"),
    "bamboo": (_HUB, "bicubic", "torch", None, ""),
}

# The page of those that have none of their own on the hub, its `senet.py`'s.
TIMM_SOURCE = "https://github.com/huggingface/pytorch-image-models"

# By architecture: tag, origin, file there; image size, crop_pct and top-1 of training, and, where there are, those to
# test with (timm's configurations of 1.0.31, its results of 2026-08-08; None: it publishes no accuracy).
TIMM = {
    "resnet10t": (("c3_in1k", "rw_rsb", "resnet10t_176_c3-f3215ab1.pth", (176, 0.875, 66.724), (224, 0.95, 68.354)),),
    "resnet14t": (("c3_in1k", "rw_rsb", "resnet14t_176_c3-c4ed2c37.pth", (176, 0.875, 71.318), (224, 0.95, 72.242)),),
    "resnet18": (
        ("a1_in1k", "hf_rsb", "resnet18_a1_0-d63eafa0.pth", (224, 0.95, 71.504), (288, 1.0, 73.164)),
        ("a2_in1k", "hf_rsb", "resnet18_a2_0-b61bd467.pth", (224, 0.95, 70.634), (288, 1.0, 72.364)),
        ("a3_in1k", "hf_rsb", "resnet18_a3_0-40c531c8.pth", (160, 0.95, 65.67), (224, 0.95, 68.25)),
        ("tv_in1k", "pt", "resnet18-f37072fd.pth", (224, 0.875, 69.752)),
        ("fb_ssl_yfcc100m_ft_in1k", "fb", "semi_supervised_resnet18-d92f0530.pth", (224, 0.875, 72.636)),
        ("fb_swsl_ig1b_ft_in1k", "fb", "semi_weakly_supervised_resnet18-118f1556.pth", (224, 0.875, 73.286)),
        ("gluon_in1k", "gluon", "gluon_resnet18_v1b-0757602b.pth", (224, 0.875, 70.844)),
    ),
    "resnet18d": (
        ("ra2_in1k", "rw", "resnet18d_ra2-48a79e06.pth", (224, 0.875, 72.296), (288, 0.95, 73.79)),
        ("ra4_e3600_r224_in1k", "hub", "", (224, 0.9, 74.356), (288, 1.0, 76.012)),
    ),
    "resnet34": (
        ("a1_in1k", "hf_rsb", "resnet34_a1_0-46f8f793.pth", (224, 0.95, 76.42), (288, 1.0, 77.93)),
        ("a2_in1k", "hf_rsb", "resnet34_a2_0-82d47d71.pth", (224, 0.95, 75.52), (288, 1.0, 77.15)),
        ("a3_in1k", "hf_rsb", "resnet34_a3_0-a20cabb6.pth", (160, 0.95, 70.58), (224, 0.95, 72.996)),
        ("bt_in1k", "rw", "resnet34-43635321.pth", (224, 0.875, 75.176), (288, 0.95, 76.506)),
        ("ra4_e3600_r224_in1k", "hub", "", (224, 0.9, 77.492), (288, 1.0, 78.972)),
        ("tv_in1k", "pt", "resnet34-b627a593.pth", (224, 0.875, 73.298)),
        ("gluon_in1k", "gluon", "gluon_resnet34_v1b-c6d82d59.pth", (224, 0.875, 74.574)),
    ),
    "resnet34d": (("ra2_in1k", "rw", "resnet34d_ra2-f8dcfcaf.pth", (224, 0.875, 77.108), (288, 0.95, 78.44)),),
    "resnet26": (("bt_in1k", "rw", "resnet26-9aa10e23.pth", (224, 0.875, 75.298), (288, 0.95, 76.384)),),
    "resnet26t": (("ra2_in1k", "rw_attn", "resnet26t_256_ra2-6f6fa748.pth", (256, 0.94, 77.878), (320, 1.0, 78.33)),),
    "resnet26d": (("bt_in1k", "rw", "resnet26d-69e92c46.pth", (224, 0.875, 76.698), (288, 0.95, 77.422)),),
    "resnet50": (
        ("a1_in1k", "rw_rsb", "resnet50_a1_0-14fe96d1.pth", (224, 0.95, 80.382), (288, 1.0, 81.24)),
        ("a1h_in1k", "hf_rsb", "resnet50_a1h2_176-001a1197.pth", (176, 0.9, 79.264), (224, 1.0, 80.654)),
        ("a2_in1k", "hf_rsb", "resnet50_a2_0-a2746f79.pth", (224, 0.95, 79.828), (288, 1.0, 80.774)),
        ("a3_in1k", "hf_rsb", "resnet50_a3_0-59cae1ef.pth", (160, 0.95, 75.994), (224, 0.95, 78.052)),
        ("b1k_in1k", "hf_rsb", "resnet50_b1k-532a802a.pth", (224, 0.95, 79.564), (288, 1.0, 80.708)),
        ("b2k_in1k", "hf_rsb", "resnet50_b2k-1ba180c1.pth", (224, 0.95, 79.388), (288, 1.0, 80.466)),
        ("c1_in1k", "hf_rsb", "resnet50_c1-5ba5e060.pth", (224, 0.95, 79.766), (288, 1.0, 80.928)),
        ("c2_in1k", "hf_rsb", "resnet50_c2-d01e05b2.pth", (224, 0.95, 79.868), (288, 1.0, 80.862)),
        ("d_in1k", "hf_rsb", "resnet50_d-f39db8af.pth", (224, 0.95, 79.904), (288, 1.0, 81.012)),
        ("ram_in1k", "hf", "resnet50_ram-a26f946b.pth", (224, 0.875, 79.034), (288, 0.95, 79.982)),
        ("am_in1k", "hf", "resnet50_am-6c502b37.pth", (224, 0.875, 79.004)),
        ("ra_in1k", "hf", "resnet50_ra-85ebb6e5.pth", (224, 0.875, 78.82), (288, 0.95, 79.864)),
        ("bt_in1k", "hf", "rw_resnet50-86acaeed.pth", (224, 0.875, 78.444), (288, 0.95, 79.652)),
        ("tv_in1k", "pt", "resnet50-0676ba61.pth", (224, 0.875, 76.156)),
        ("tv2_in1k", "pt", "resnet50-11ad3fa6.pth", (176, 0.875, 79.434), (224, 0.965, 80.846)),
        ("bamboo", "bamboo", "", (224, 1.0, None)),
        ("fb_ssl_yfcc100m_ft_in1k", "fb", "semi_supervised_resnet50-08389792.pth", (224, 0.875, 79.252)),
        ("fb_swsl_ig1b_ft_in1k", "fb", "semi_weakly_supervised_resnet50-16a12f1b.pth", (224, 0.875, 81.146)),
        ("gluon_in1k", "gluon", "gluon_resnet50_v1b-0ebe02e2.pth", (224, 0.875, 77.58)),
    ),
    "resnet50c": (("gluon_in1k", "gluon", "gluon_resnet50_v1c-48092f55.pth", (224, 0.875, 78.016)),),
    "resnet50d": (
        ("ra2_in1k", "rw", "resnet50d_ra2-464e36ba.pth", (224, 0.875, 80.546), (288, 0.95, 81.354)),
        ("ra4_e3600_r224_in1k", "hub", "", (224, 0.95, 80.956), (288, 1.0, 81.84)),
        ("a1_in1k", "hf_rsb", "resnet50d_a1_0-e20cff14.pth", (224, 0.95, 80.73), (288, 1.0, 81.466)),
        ("a2_in1k", "hf_rsb", "resnet50d_a2_0-a3adc64d.pth", (224, 0.95, 80.268), (288, 1.0, 81.164)),
        ("a3_in1k", "hf_rsb", "resnet50d_a3_0-403fdfad.pth", (160, 0.95, 77.222), (224, 0.95, 78.742)),
        ("gluon_in1k", "gluon", "gluon_resnet50_v1d-818a1b1b.pth", (224, 0.875, 79.08)),
    ),
    "resnet50s": (("gluon_in1k", "gluon", "gluon_resnet50_v1s-1762acc0.pth", (224, 0.875, 78.71)),),
    "resnet101": (
        ("a1h_in1k", "rw_rsb", "resnet101_a1h-36d3f2aa.pth", (224, 0.95, 81.95), (288, 1.0, 82.796)),
        ("a1_in1k", "hf_rsb", "resnet101_a1_0-cdcb52a9.pth", (224, 0.95, 81.494), (288, 1.0, 82.326)),
        ("a2_in1k", "hf_rsb", "resnet101_a2_0-6edb36c7.pth", (224, 0.95, 81.344), (288, 1.0, 82.218)),
        ("a3_in1k", "hf_rsb", "resnet101_a3_0-1db14157.pth", (160, 0.95, 77.928), (224, 0.95, 79.836)),
        ("tv_in1k", "pt", "resnet101-63fe2227.pth", (224, 0.875, 77.404)),
        ("tv2_in1k", "pt", "resnet101-cd907fc2.pth", (176, 0.875, 79.908), (224, 0.965, 81.906)),
        ("gluon_in1k", "gluon", "gluon_resnet101_v1b-3b017079.pth", (224, 0.875, 79.306)),
    ),
    "resnet101c": (("gluon_in1k", "gluon", "gluon_resnet101_v1c-1f26822a.pth", (224, 0.875, 79.542)),),
    "resnet101d": (
        ("ra2_in1k", "rw", "resnet101d_ra2-2803ffab.pth", (256, 0.95, 82.254), (320, 1.0, 83.02)),
        ("gluon_in1k", "gluon", "gluon_resnet101_v1d-0f9c8644.pth", (224, 0.875, 80.466)),
    ),
    "resnet101s": (("gluon_in1k", "gluon", "gluon_resnet101_v1s-60fe0cc1.pth", (224, 0.875, 80.278)),),
    "resnet152": (
        ("a1h_in1k", "rw_rsb", "resnet152_a1h-dc400468.pth", (224, 0.95, 82.818), (288, 1.0, 83.494)),
        ("a1_in1k", "hf_rsb", "resnet152_a1_0-2eee8a7a.pth", (224, 0.95, 81.998), (288, 1.0, 82.742)),
        ("a2_in1k", "hf_rsb", "resnet152_a2_0-b4c6978f.pth", (224, 0.95, 81.764), (288, 1.0, 82.614)),
        ("a3_in1k", "hf_rsb", "resnet152_a3_0-134d4688.pth", (160, 0.95, 78.896), (224, 0.95, 80.548)),
        ("tv_in1k", "pt", "resnet152-394f9c45.pth", (224, 0.875, 78.33)),
        ("tv2_in1k", "pt", "resnet152-f82ba261.pth", (176, 0.875, 80.222), (224, 0.965, 82.294)),
        ("gluon_in1k", "gluon", "gluon_resnet152_v1b-c1edb0dd.pth", (224, 0.875, 79.712)),
    ),
    "resnet152c": (("gluon_in1k", "gluon", "gluon_resnet152_v1c-a3bb0b98.pth", (224, 0.875, 79.904)),),
    "resnet152d": (
        ("ra2_in1k", "rw", "resnet152d_ra2-5cac0439.pth", (256, 0.95, 83.16), (320, 1.0, 83.684)),
        ("gluon_in1k", "gluon", "gluon_resnet152_v1d-bd354e12.pth", (224, 0.875, 80.476)),
    ),
    "resnet152s": (("gluon_in1k", "gluon", "gluon_resnet152_v1s-dcc41b81.pth", (224, 0.875, 81.048)),),
    "resnet200d": (("ra2_in1k", "rw", "resnet200d_ra2-bdba9bf9.pth", (256, 0.95, 83.25), (320, 1.0, 83.976)),),
    "wide_resnet50_2": (
        ("racm_in1k", "rw", "wide_resnet50_racm-8234f177.pth", (224, 0.875, 81.466), (288, 0.95, 82.26)),
        ("tv_in1k", "pt", "wide_resnet50_2-95faca4d.pth", (224, 0.875, 78.486)),
        ("tv2_in1k", "pt", "wide_resnet50_2-9ba9bcbe.pth", (176, 0.875, 80.442), (224, 0.965, 81.612)),
    ),
    "wide_resnet101_2": (
        ("tv_in1k", "pt", "wide_resnet101_2-32ee1156.pth", (224, 0.875, 78.862)),
        ("tv2_in1k", "pt", "wide_resnet101_2-d733dc28.pth", (176, 0.875, 80.494), (224, 0.965, 82.514)),
    ),
    "resnet50_gn": (("a1h_in1k", "rw_rsb", "resnet50_gn_a1h2-8fe6c4d0.pth", (224, 0.94, 80.074), (288, 0.95, 81.216)),),
    "resnext50_32x4d": (
        ("a1h_in1k", "rw_rsb", "resnext50_32x4d_a1h-0146ab0a.pth", (224, 0.95, 81.14), (288, 1.0, 82.016)),
        ("a1_in1k", "hf_rsb", "resnext50_32x4d_a1_0-b5a91a1d.pth", (224, 0.95, 80.526), (288, 1.0, 81.48)),
        ("a2_in1k", "hf_rsb", "resnext50_32x4d_a2_0-efc76add.pth", (224, 0.95, 80.444), (288, 1.0, 81.304)),
        ("a3_in1k", "hf_rsb", "resnext50_32x4d_a3_0-3e450271.pth", (160, 0.95, 77.732), (224, 0.95, 79.258)),
        ("ra_in1k", "hf", "resnext50_32x4d_ra-d733960d.pth", (224, 0.875, 79.8), (288, 0.95, 80.72)),
        ("tv_in1k", "pt", "resnext50_32x4d-7cdf4587.pth", (224, 0.875, 77.632)),
        ("tv2_in1k", "pt", "resnext50_32x4d-1a0047aa.pth", (176, 0.875, 79.384), (224, 0.965, 81.19)),
        ("fb_ssl_yfcc100m_ft_in1k", "fb", "semi_supervised_resnext50_32x4-ddb3e555.pth", (224, 0.875, 80.316)),
        ("fb_swsl_ig1b_ft_in1k", "fb", "semi_weakly_supervised_resnext50_32x4-72679e44.pth", (224, 0.875, 82.162)),
        ("gluon_in1k", "gluon", "gluon_resnext50_32x4d-e6a097c1.pth", (224, 0.875, 79.354)),
    ),
    "resnext50d_32x4d": (
        ("bt_in1k", "rw", "resnext50d_32x4d-103e99f8.pth", (224, 0.875, 79.672), (288, 0.95, 80.676)),
    ),
    "resnext101_32x4d": (
        ("fb_ssl_yfcc100m_ft_in1k", "fb", "semi_supervised_resnext101_32x4-dc43570a.pth", (224, 0.875, 80.936)),
        ("fb_swsl_ig1b_ft_in1k", "fb", "semi_weakly_supervised_resnext101_32x4-3f87e46b.pth", (224, 0.875, 83.268)),
        ("gluon_in1k", "gluon", "gluon_resnext101_32x4d-b253c8c4.pth", (224, 0.875, 80.336)),
    ),
    "resnext101_32x8d": (
        ("tv_in1k", "pt", "resnext101_32x8d-8ba56ff5.pth", (224, 0.875, 79.308)),
        ("tv2_in1k", "pt", "resnext101_32x8d-110c445d.pth", (176, 0.875, 81.99), (224, 0.965, 82.832)),
        ("fb_wsl_ig1b_ft_in1k", "ig", "ig_resnext101_32x8-c38310e5.pth", (224, 0.875, 82.72)),
        ("fb_ssl_yfcc100m_ft_in1k", "fb", "semi_supervised_resnext101_32x8-2cfe2f8b.pth", (224, 0.875, 81.62)),
        ("fb_swsl_ig1b_ft_in1k", "fb", "semi_weakly_supervised_resnext101_32x8-b4712904.pth", (224, 0.875, 84.276)),
    ),
    "resnext101_32x16d": (
        ("fb_wsl_ig1b_ft_in1k", "ig", "ig_resnext101_32x16-c6f796b0.pth", (224, 0.875, 84.166)),
        ("fb_ssl_yfcc100m_ft_in1k", "fb", "semi_supervised_resnext101_32x16-15fffa57.pth", (224, 0.875, 81.856)),
        ("fb_swsl_ig1b_ft_in1k", "fb", "semi_weakly_supervised_resnext101_32x16-f3559a9c.pth", (224, 0.875, 83.34)),
    ),
    "resnext101_32x32d": (("fb_wsl_ig1b_ft_in1k", "ig", "ig_resnext101_32x32-e4b90b00.pth", (224, 0.875, 85.09)),),
    "resnext101_64x4d": (
        ("c1_in1k", "rw_tpu", "resnext101_64x4d_c-0d0e0cc0.pth", (224, 0.95, 82.446), (288, 1.0, 83.158)),
        ("tv_in1k", "pt", "resnext101_64x4d-173b62eb.pth", (224, 0.875, 82.978)),
        ("gluon_in1k", "gluon", "gluon_resnext101_64x4d-f9a8e184.pth", (224, 0.875, 80.64)),
    ),
    "ecaresnet26t": (("ra2_in1k", "rw", "ecaresnet26t_ra2-46609757.pth", (256, 0.875, 78.894), (320, 0.95, 79.9)),),
    "ecaresnet50d": (
        ("miil_in1k", "rw_tresnet", "ecaresnet50d-93c81e3b.pth", (224, 0.875, 80.634), (288, 0.95, 81.648)),
    ),
    "ecaresnet50t": (
        ("ra2_in1k", "rw", "ecaresnet50t_ra2-f7ac63c4.pth", (256, 0.875, 81.45), (320, 0.95, 82.37)),
        ("a1_in1k", "hf_rsb", "ecaresnet50t_a1_0-99bd76a8.pth", (224, 0.95, 81.282), (288, 1.0, 82.11)),
        ("a2_in1k", "hf_rsb", "ecaresnet50t_a2_0-b1c7b745.pth", (224, 0.95, 80.884), (288, 1.0, 81.682)),
        ("a3_in1k", "hf_rsb", "ecaresnet50t_a3_0-8cc311f1.pth", (160, 0.95, 77.786), (224, 0.95, 79.548)),
    ),
    "ecaresnetlight": (
        ("miil_in1k", "rw_tresnet", "ecaresnetlight-75a9c627.pth", (224, 0.875, 80.454), (288, 0.95, 81.43)),
    ),
    "ecaresnet101d": (
        ("miil_in1k", "rw_tresnet", "ecaresnet101d-153dad65.pth", (224, 0.875, 82.18), (288, 0.95, 83.006)),
    ),
    "ecaresnet269d": (
        ("ra2_in1k", "rw", "ecaresnet269d_320_ra2-7baa55cb.pth", (320, 0.95, 84.724), (352, 1.0, 84.968)),
    ),
    "seresnet50": (
        ("a1_in1k", "hf_rsb", "seresnet50_a1_0-ffa00869.pth", (224, 0.95, 80.012), (288, 1.0, 81.114)),
        ("a2_in1k", "hf_rsb", "seresnet50_a2_0-850de0d9.pth", (224, 0.95, 80.102), (288, 1.0, 81.094)),
        ("a3_in1k", "hf_rsb", "seresnet50_a3_0-317ecd56.pth", (160, 0.95, 75.104), (224, 0.95, 77.036)),
        ("ra2_in1k", "rw", "seresnet50_ra_224-8efdb4bb.pth", (224, 0.875, 80.26), (288, 0.95, 81.288)),
    ),
    "seresnet152d": (("ra2_in1k", "rw", "seresnet152d_ra2-04464dd2.pth", (256, 0.95, 83.702), (320, 1.0, 84.344)),),
    "seresnext26d_32x4d": (
        ("bt_in1k", "rw", "seresnext26d_32x4d-80fa48a3.pth", (224, 0.875, 77.592), (288, 0.95, 78.816)),
    ),
    "seresnext26t_32x4d": (
        ("bt_in1k", "rw", "seresnext26tn_32x4d-569cb627.pth", (224, 0.875, 77.98), (288, 0.95, 78.736)),
    ),
    "seresnext50_32x4d": (
        ("racm_in1k", "rw", "seresnext50_32x4d_racm-a304a460.pth", (224, 0.875, 81.268), (288, 0.95, 82.186)),
        ("gluon_in1k", "gluon", "gluon_seresnext50_32x4d-90cf2d6e.pth", (224, 0.875, 79.916)),
    ),
    "seresnext101_32x4d": (("gluon_in1k", "gluon", "gluon_seresnext101_32x4d-cf52900d.pth", (224, 0.875, 80.886)),),
    "seresnext101_32x8d": (
        ("ah_in1k", "rw_tpu", "seresnext101_32x8d_ah-e6bc4c0a.pth", (224, 0.95, 83.618), (288, 1.0, 84.192)),
    ),
    "seresnext101d_32x8d": (
        ("ah_in1k", "rw_tpu", "seresnext101d_32x8d_ah-191d7b94.pth", (224, 0.95, 83.702), (288, 1.0, 84.38)),
    ),
    "seresnext101_64x4d": (("gluon_in1k", "gluon", "gluon_seresnext101_64x4d-f9926f93.pth", (224, 0.875, 80.884)),),
    "senet154": (("gluon_in1k", "gluon", "gluon_senet154-70a1a3c0.pth", (224, 0.875, 81.258)),),
    "resnetblur50": (("bt_in1k", "rw", "resnetblur50-84f4748f.pth", (224, 0.875, 79.306), (288, 0.95, 80.248)),),
    "resnetaa50": (("a1h_in1k", "rw_rsb", "resnetaa50_a1h-4cf422b3.pth", (224, 0.95, 80.614), (288, 1.0, 81.618)),),
    "resnetaa50d": (
        ("sw_in12k_ft_in1k", "sw", "", (224, 0.95, 81.782), (288, 1.0, 82.656)),
        ("sw_in12k", "sw_12k", "", (224, 0.95, None), (288, 1.0, None)),
        ("d_in12k", "sw_12k", "", (224, 0.95, None), (288, 1.0, None)),
    ),
    "resnetaa101d": (
        ("sw_in12k_ft_in1k", "sw", "", (224, 0.95, 83.544), (288, 1.0, 84.114)),
        ("sw_in12k", "sw_12k", "", (224, 0.95, None), (288, 1.0, None)),
    ),
    "seresnextaa101d_32x8d": (
        ("sw_in12k_ft_in1k_288", "sw", "", (288, 0.95, 86.53), (320, 1.0, 86.722)),
        ("sw_in12k_ft_in1k", "sw", "", (224, 0.875, 85.956), (288, 1.0, 86.524)),
        ("sw_in12k", "sw_12k", "", (224, 0.95, None), (288, 1.0, None)),
        ("ah_in1k", "rw_tpu", "seresnextaa101d_32x8d_ah-83c8ae12.pth", (224, 0.95, 83.9), (288, 1.0, 84.58)),
    ),
    "seresnextaa201d_32x8d": (
        ("sw_in12k_ft_in1k_384", "sw", "", (384, 1.0, 87.304)),
        ("sw_in12k", "sw_12k", "", (320, 0.95, None), (384, 1.0, None)),
    ),
    "resnetrs50": (("tf_in1k", "rw_rs", "resnetrs50_ema-6b53758b.pth", (160, 0.91, 77.858), (224, 0.91, 79.934)),),
    "resnetrs101": (
        ("tf_in1k", "rw_rs", "resnetrs101_i192_ema-1509bbf6.pth", (192, 0.94, 80.706), (288, 0.94, 82.288)),
    ),
    "resnetrs152": (("tf_in1k", "rw_rs", "resnetrs152_i256_ema-a9aff7f9.pth", (256, 1.0, 82.9), (320, 1.0, 83.71)),),
    "resnetrs200": (("tf_in1k", "rw_tpu", "resnetrs200_c-6b698b88.pth", (256, 1.0, 83.884), (320, 1.0, 84.448)),),
    "resnetrs270": (("tf_in1k", "rw_rs", "resnetrs270_ema-b40e674c.pth", (256, 1.0, 83.596), (352, 1.0, 84.438)),),
    "resnetrs350": (("tf_in1k", "rw_rs", "resnetrs350_i256_ema-5a1aa8f1.pth", (288, 1.0, 84.304), (384, 1.0, 84.71)),),
    "resnetrs420": (("tf_in1k", "rw_rs", "resnetrs420_ema-972dee69.pth", (320, 1.0, 84.24), (416, 1.0, 85.01)),),
    "resnetv2_50x1_bit": (
        ("goog_distilled_in1k", "hub", "", (224, 0.875, 82.82)),
        ("goog_in21k_ft_in1k", "bit", "", (448, 1.0, 80.386)),
        ("goog_in21k", "bit_21k", "", (224, 0.875, None)),
    ),
    "resnetv2_50x3_bit": (
        ("goog_in21k_ft_in1k", "bit", "", (448, 1.0, 83.982)),
        ("goog_in21k", "bit_21k", "", (224, 0.875, None)),
    ),
    "resnetv2_101x1_bit": (
        ("goog_in21k_ft_in1k", "bit", "", (448, 1.0, 82.332)),
        ("goog_in21k", "bit_21k", "", (224, 0.875, None)),
    ),
    "resnetv2_101x3_bit": (
        ("goog_in21k_ft_in1k", "bit", "", (448, 1.0, 84.43)),
        ("goog_in21k", "bit_21k", "", (224, 0.875, None)),
    ),
    "resnetv2_152x2_bit": (
        ("goog_teacher_in21k_ft_in1k", "hub", "", (224, 0.875, 82.918)),
        ("goog_teacher_in21k_ft_in1k_384", "hub", "", (384, 1.0, 83.858)),
        ("goog_in21k_ft_in1k", "bit", "", (448, 1.0, 84.468)),
        ("goog_in21k", "bit_21k", "", (224, 0.875, None)),
    ),
    "resnetv2_152x4_bit": (
        ("goog_in21k_ft_in1k", "bit", "", (480, 1.0, 84.936)),
        ("goog_in21k", "bit_21k", "", (224, 0.875, None)),
    ),
    "resnetv2_18": (("ra4_e3600_r224_in1k", "hub", "", (224, 0.9, 73.572), (288, 1.0, 75.364)),),
    "resnetv2_18d": (("ra4_e3600_r224_in1k", "hub", "", (224, 0.9, 74.422), (288, 1.0, 76.058)),),
    "resnetv2_34": (("ra4_e3600_r224_in1k", "hub", "", (224, 0.9, 77.626), (288, 1.0, 79.07)),),
    "resnetv2_34d": (
        ("ra4_e3600_r224_in1k", "hub", "", (224, 0.9, 78.27), (288, 1.0, 79.614)),
        ("ra4_e3600_r384_in1k", "hub", "", (384, 1.0, 79.792), (448, 1.0, 80.43)),
    ),
    "resnetv2_50": (("a1h_in1k", "hub", "", (224, 0.95, 80.41), (288, 1.0, 81.406)),),
    "resnetv2_101": (("a1h_in1k", "hub", "", (224, 0.95, 82.042), (288, 1.0, 83.002)),),
    "resnetv2_50d_gn": (("ah_in1k", "hub", "", (224, 0.95, 80.8), (288, 1.0, 81.96)),),
    "legacy_seresnet18": (("in1k", "rw", "seresnet18-4bb0ce65.pth", (224, 0.875, 71.742)),),
    "legacy_seresnet34": (("in1k", "senet", "seresnet34-a4004e63.pth", (224, 0.875, 74.788)),),
    "legacy_seresnet50": (("in1k", "cadene", "se_resnet50-ce0d4300.pth", (224, 0.875, 77.65)),),
    "legacy_seresnet101": (("in1k", "cadene", "se_resnet101-7e38fcc6.pth", (224, 0.875, 78.37)),),
    "legacy_seresnet152": (("in1k", "cadene", "se_resnet152-d17c99b7.pth", (224, 0.875, 78.662)),),
    "legacy_senet154": (("in1k", "senet", "legacy_senet154-e9eb9fe6.pth", (224, 0.875, 81.32)),),
    "legacy_seresnext26_32x4d": (("in1k", "rw", "seresnext26_32x4d-65ebdb501.pth", (224, 0.875, 77.1)),),
    "legacy_seresnext50_32x4d": (("in1k", "senet", "legacy_se_resnext50_32x4d-f3651bad.pth", (224, 0.875, 79.08)),),
    "legacy_seresnext101_32x4d": (("in1k", "senet", "legacy_se_resnext101_32x4d-37725eac.pth", (224, 0.875, 80.274)),),
}

# timm's files of networks that have no plan here, and why.
TIMM_LEFT_OUT = {
    "ecaresnet50d_pruned.miil_in1k": "it is pruned: every convolution has a width of its own",
    "ecaresnet101d_pruned.miil_in1k": "it is pruned: every convolution has a width of its own",
    "resnetv2_50d_evos.ah_in1k": "its norm, EvoNorm-S0, is no layer of Keras",
    "test_resnet.r160_in1k": "it has blocks of two kinds in one network",
}
