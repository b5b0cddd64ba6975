"""What lies beside tensors, or in a config.json, as statements about a network."""

import time
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from keras_resnet.architecture.planner import plan
from keras_resnet.checkpoints.formats.torch.file import TorchFile
from keras_resnet.checkpoints.statements import agrees, not_understood, of_config, of_words
from keras_resnet.variants import RESNET50

pytestmark = pytest.mark.one_backend

# The arguments of timm's script for training, of any version to 1.0, that are not None or False by default...
TIMM = {
    "amp_dtype": "float16",
    "amp_impl": "native",
    "batch_size": 128,
    "checkpoint_hist": 10,
    "clip_mode": "norm",
    "color_jitter": 0.4,
    "decay_milestones": [90, 180, 270],
    "device": "cuda",
    "dist_bn": "reduce",
    "drop": 0.0,
    "eval_metric": "top1",
    "experiment": "",
    "fuser": "",
    "grad_accum_steps": 1,
    "interpolation": "",
    "kd_distill_type": "logit",
    "kd_loss_type": "kl",
    "kd_temperature": 4.0,
    "kd_token_distill_type": "soft",
    "layer_decay_min_scale": 0,
    "lr_noise_std": 1.0,
    "mixup_mode": "batch",
    "mixup_prob": 1.0,
    "model": "resnet50",
    "model_ema_decay": 0.9998,
    "model_kwargs": {},
    "momentum": 0.9,
    "naflex_loss_scale": "linear",
    "naflex_train_seq_lens": [128, 256, 576, 784, 1024],
    "opt": "sgd",
    "opt_kwargs": {},
    "prefetcher": True,
    "ratio": [0.75, 4 / 3],
    "recount": 1,
    "remode": "pixel",
    "reprob": 0.0,
    "scale": [0.08, 1.0],
    "sched": "cosine",
    "smoothing": 0.1,
    "train_interpolation": "random",
    "train_split": "train",
    "wandb_tags": [],
    "weight_decay": 2e-5,
    "worker_seeding": "all",
}
# ... and those that are, by their names alike to settings of networks.
NOT_GIVEN = (
    "aa aug_repeats bn_eps bn_momentum channels_last class_map crop_pct drop_block drop_connect drop_path fast_norm gp "
    "grad_checkpointing head_init_bias head_init_scale img_size in_chans initial_checkpoint input_size kd_model_name "
    "kd_student_feature_dim layer_decay mean model_dtype model_ema num_classes opt_betas opt_eps pretrained "
    "pretrained_path split_bn std sync_bn torchcompile torchcompile_mode torchscript train_crop_mode"
)


def test_no_default_of_timms_script_speaks_against_a_plain_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    given = Namespace(**TIMM, **dict.fromkeys(NOT_GIVEN.split()))
    whole = {"epoch": 3, "arch": "resnet50", "state_dict": {"conv1.weight": torch.ones(2)}, "version": 2, "args": given}
    torch.save(whole | {"metric": 0.5, "optimizer": {}}, tmp_path / "last.pth.tar")
    statements = of_words(TorchFile.open(tmp_path / "last.pth.tar").words)
    assert {each.setting for each in statements} == {"arch", "args.model", "args.gp", "args.bn_eps"}
    assert all(agrees(each, plan(RESNET50), 1e-5) and not not_understood(each) for each in statements)
    given.model_kwargs, given.gp, given.bn_eps = {"act_layer": "silu"}, "max", 1e-3
    torch.save(whole, tmp_path / "last.pth.tar")
    against = [each for each in of_words(TorchFile.open(tmp_path / "last.pth.tar").words) if each.rule != "name"]
    assert len(against) == 3
    assert not any(agrees(each, plan(RESNET50), 1e-5) for each in against)


@pytest.mark.parametrize("part", ["tv-", "imagenet_", "wide_", "resnet", "resne1 ", "pre_act", "resne-"])
def test_a_name_of_any_length_is_read_in_little_time(part: str) -> None:
    """However often a file states it."""
    long = {"architecture": part * 300_000}
    words = {f"{index}.arch": (part * 300)[:999] for index in range(3_000)}
    began = time.process_time()
    statements = (*of_config(long), *of_words(words))
    assert statements
    assert all(not_understood(each) for each in statements)
    assert time.process_time() - began < 5


def test_a_kind_of_block_is_none_of_a_network_with_other_blocks() -> None:
    network = plan(RESNET50)
    unit = network.units[0]
    longer = replace(network, stages=((replace(unit, convs=(*unit.convs, unit.convs[-1])),),))
    (statement,) = of_config({"model_type": "resnet", "layer_type": "bottleneck"})[1:]
    assert agrees(statement, network, 1e-5)
    assert not agrees(statement, longer, 1e-5)
