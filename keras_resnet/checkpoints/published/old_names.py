"""Other names of published weights, older ones and those of other libraries, in lower case, and their keys."""

from keras_resnet.checkpoints.published.keras import RESNET_RS
from keras_resnet.checkpoints.published.torch import SEMI_SUPERVISED, TORCHVISION, WEAKLY_SUPERVISED

# timm's names before its version 0.9; but its own table sends ig_resnext101_32x16d, 32x32d and 32x48d to 32x8d's file,
# and Facebook alone has the last one.
OLD_NAMES = {
    "tv_resnet34": "timm/resnet34.tv_in1k",
    "tv_resnet50": "timm/resnet50.tv_in1k",
    "tv_resnet101": "timm/resnet101.tv_in1k",
    "tv_resnet152": "timm/resnet152.tv_in1k",
    "tv_resnext50_32x4d": "timm/resnext50_32x4d.tv_in1k",
    "ig_resnext101_32x8d": "timm/resnext101_32x8d.fb_wsl_ig1b_ft_in1k",
    "ig_resnext101_32x16d": "timm/resnext101_32x16d.fb_wsl_ig1b_ft_in1k",
    "ig_resnext101_32x32d": "timm/resnext101_32x32d.fb_wsl_ig1b_ft_in1k",
    "ig_resnext101_32x48d": "facebook/resnext101_32x48d.wsl",
    "ssl_resnet18": "timm/resnet18.fb_ssl_yfcc100m_ft_in1k",
    "ssl_resnet50": "timm/resnet50.fb_ssl_yfcc100m_ft_in1k",
    "ssl_resnext50_32x4d": "timm/resnext50_32x4d.fb_ssl_yfcc100m_ft_in1k",
    "ssl_resnext101_32x4d": "timm/resnext101_32x4d.fb_ssl_yfcc100m_ft_in1k",
    "ssl_resnext101_32x8d": "timm/resnext101_32x8d.fb_ssl_yfcc100m_ft_in1k",
    "ssl_resnext101_32x16d": "timm/resnext101_32x16d.fb_ssl_yfcc100m_ft_in1k",
    "swsl_resnet18": "timm/resnet18.fb_swsl_ig1b_ft_in1k",
    "swsl_resnet50": "timm/resnet50.fb_swsl_ig1b_ft_in1k",
    "swsl_resnext50_32x4d": "timm/resnext50_32x4d.fb_swsl_ig1b_ft_in1k",
    "swsl_resnext101_32x4d": "timm/resnext101_32x4d.fb_swsl_ig1b_ft_in1k",
    "swsl_resnext101_32x8d": "timm/resnext101_32x8d.fb_swsl_ig1b_ft_in1k",
    "swsl_resnext101_32x16d": "timm/resnext101_32x16d.fb_swsl_ig1b_ft_in1k",
    "gluon_resnet18_v1b": "timm/resnet18.gluon_in1k",
    "gluon_resnet34_v1b": "timm/resnet34.gluon_in1k",
    "gluon_resnet50_v1b": "timm/resnet50.gluon_in1k",
    "gluon_resnet101_v1b": "timm/resnet101.gluon_in1k",
    "gluon_resnet152_v1b": "timm/resnet152.gluon_in1k",
    "gluon_resnet50_v1c": "timm/resnet50c.gluon_in1k",
    "gluon_resnet101_v1c": "timm/resnet101c.gluon_in1k",
    "gluon_resnet152_v1c": "timm/resnet152c.gluon_in1k",
    "gluon_resnet50_v1d": "timm/resnet50d.gluon_in1k",
    "gluon_resnet101_v1d": "timm/resnet101d.gluon_in1k",
    "gluon_resnet152_v1d": "timm/resnet152d.gluon_in1k",
    "gluon_resnet50_v1s": "timm/resnet50s.gluon_in1k",
    "gluon_resnet101_v1s": "timm/resnet101s.gluon_in1k",
    "gluon_resnet152_v1s": "timm/resnet152s.gluon_in1k",
    "gluon_resnext50_32x4d": "timm/resnext50_32x4d.gluon_in1k",
    "gluon_resnext101_32x4d": "timm/resnext101_32x4d.gluon_in1k",
    "gluon_resnext101_64x4d": "timm/resnext101_64x4d.gluon_in1k",
    "gluon_seresnext50_32x4d": "timm/seresnext50_32x4d.gluon_in1k",
    "gluon_seresnext101_32x4d": "timm/seresnext101_32x4d.gluon_in1k",
    "gluon_seresnext101_64x4d": "timm/seresnext101_64x4d.gluon_in1k",
    "gluon_senet154": "timm/senet154.gluon_in1k",
    "seresnext26tn_32x4d": "timm/seresnext26t_32x4d.bt_in1k",
    "resnetv2_50x1_bitm": "timm/resnetv2_50x1_bit.goog_in21k_ft_in1k",
    "resnetv2_50x3_bitm": "timm/resnetv2_50x3_bit.goog_in21k_ft_in1k",
    "resnetv2_101x1_bitm": "timm/resnetv2_101x1_bit.goog_in21k_ft_in1k",
    "resnetv2_101x3_bitm": "timm/resnetv2_101x3_bit.goog_in21k_ft_in1k",
    "resnetv2_152x2_bitm": "timm/resnetv2_152x2_bit.goog_in21k_ft_in1k",
    "resnetv2_152x4_bitm": "timm/resnetv2_152x4_bit.goog_in21k_ft_in1k",
    "resnetv2_50x1_bitm_in21k": "timm/resnetv2_50x1_bit.goog_in21k",
    "resnetv2_50x3_bitm_in21k": "timm/resnetv2_50x3_bit.goog_in21k",
    "resnetv2_101x1_bitm_in21k": "timm/resnetv2_101x1_bit.goog_in21k",
    "resnetv2_101x3_bitm_in21k": "timm/resnetv2_101x3_bit.goog_in21k",
    "resnetv2_152x2_bitm_in21k": "timm/resnetv2_152x2_bit.goog_in21k",
    "resnetv2_152x4_bitm_in21k": "timm/resnetv2_152x4_bit.goog_in21k",
    "resnetv2_50x1_bit_distilled": "timm/resnetv2_50x1_bit.goog_distilled_in1k",
    "resnetv2_152x2_bit_teacher": "timm/resnetv2_152x2_bit.goog_teacher_in21k_ft_in1k",
    "resnetv2_152x2_bit_teacher_384": "timm/resnetv2_152x2_bit.goog_teacher_in21k_ft_in1k_384",
}
OLD_NAMES |= {  # Facebook's, at PyTorch's hub
    "dino_resnet50": "dino/resnet50",
    **{
        f"{network}_{recipe}": f"facebook/{network}.{recipe}"
        for network, recipe, *_ in (*SEMI_SUPERVISED, *WEAKLY_SUPERVISED)
    },
}
OLD_NAMES |= {  # Cadene's pretrainedmodels
    "se_resnet50": "timm/legacy_seresnet50.in1k",
    "se_resnet101": "timm/legacy_seresnet101.in1k",
    "se_resnet152": "timm/legacy_seresnet152.in1k",
    "se_resnext50_32x4d": "timm/legacy_seresnext50_32x4d.in1k",
    "se_resnext101_32x4d": "timm/legacy_seresnext101_32x4d.in1k",
}
OLD_NAMES |= {  # tf.keras.applications'
    name: f"keras/resnet-rs-{depth}-i{size}"  # the largest, the last one of each depth
    for depth, size, *_ in RESNET_RS
    for name in (f"resnetrs{depth}", f"resnet_rs_{depth}")
}
OLD_NAMES |= {  # torchvision's files of before 2021, and its names in Python
    "resnet18-5c106cde.pth": "torchvision/resnet18.v1",
    "resnet34-333f7ec4.pth": "torchvision/resnet34.v1",
    "resnet50-19c8e357.pth": "torchvision/resnet50.v1",
    "resnet101-5d3b4d8f.pth": "torchvision/resnet101.v1",
    "resnet152-b121ed2d.pth": "torchvision/resnet152.v1",
} | {
    f"{network}_weights.{name}": f"torchvision/{network}.{recipe}"
    for network, recipe, *_, preferred in TORCHVISION
    for name in (f"imagenet1k_{recipe}", *(["default"] if preferred else []))
}
