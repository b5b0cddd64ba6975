"""What a file, or the `config.json` beside it, states about a network; whether one of ours is as it says.

A tensor shows neither an activation nor a blur. What states such a fact must agree with the network that takes the
weights; a key that is not known here, where a library writes nothing but its networks' settings, agrees with none.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isclose, prod
from pathlib import Path
from typing import Any

from keras_resnet.architecture.detect import HEAD, IN_FRONT, striding_convs
from keras_resnet.architecture.planner import plan as plan_of
from keras_resnet.architecture.plans import Conv, Plan
from keras_resnet.architecture.rows import RESNET50
from keras_resnet.architecture.variant import Variant
from keras_resnet.checkpoints.catalogue import called, digested
from keras_resnet.checkpoints.checkpoint import Checkpoint
from keras_resnet.checkpoints.formats.torch.find import MMENGINE_CONFIG
from keras_resnet.checkpoints.names.networks import Name, read_name

BESIDE = "the config.json beside it"
WITHIN = "its own config"
CALLED = "its name, that of a published file,"
KEYED = "the catalogue"
HASHED = "its digest, that of a published file,"
NAMED = "the name of its tensors"
_KERAS_HUB, _HUBS_BLOCK = "ResNetBackbone", "KerasHub's block"
_KERAS_CV = (_KERAS_HUB, "ResNetV2Backbone")
CONVS = {"basic": 2, "bottleneck": 3, "senet": 3}  # in a unit
CAFFE = "caffe"  # MMEngine's name of strides in the first 1x1
_MM_STYLE = re.compile(rf"\bstyle ?= ?['\"]({CAFFE}|pytorch)['\"]")
_DEEPEST = 8  # of objects in an object
_SHOWN = 99  # characters of a value in a message


@dataclass(frozen=True)
class Statement:
    """A setting of a network, as it was read.

    Attributes:
        setting: the keys that lead to it, joined by dots.
        value: of it.
        where: it stands, as messages say it.
    """

    setting: str
    value: Any
    where: str

    @property
    def rule(self) -> str:
        """The name that the setting goes by here; "" if it is not known."""
        *path, last = re.split(r": |\.", self.setting.lower())
        if _KERAS_HUB in self.setting and last == "block_type":
            return _HUBS_BLOCK
        if last in _LOOSE and path and path[-1] in (*_KEYS["name"].split(), "model"):
            return "name"
        return "name" if last == "model" else _RULE_OF.get(last, "")

    @property
    def foreign(self) -> bool:
        """Whether networks of all builders agree about the setting, so that another value is of none."""
        named = self.rule == "name" and _named(self.value).ours is False
        return named or self.rule in ("activation", "gate's activation", "pooling", "last stride")

    @property
    def away(self) -> str:
        """What to do about it where it does not matter; "" if there is nothing."""
        ways = {BESIDE: "move that config.json away", CALLED: "rename the file", KEYED: "", NAMED: "", HASHED: ""}
        return ways.get(self.where, "save the tensors of the file alone")

    def __str__(self) -> str:
        return f"{self.where} states {self.setting}: {self.value!r:.{_SHOWN}}"


def agrees(statement: Statement, plan: Plan, epsilon: float) -> bool:
    """Whether a network of this plan, whose norms have this epsilon, is as a statement says."""
    rule = statement.rule
    return rule != "" and _RULES[rule](statement.value, plan, epsilon)


def not_understood(statement: Statement) -> str:
    """Returns what of a network's name is not known to change a number, nor to change none; "" if there is nothing."""
    return ", ".join(map(repr, _named(statement.value).rest)) if statement.rule == "name" else ""


def rows_in(statements: Iterable[Statement]) -> list[Variant]:
    """Returns the networks that are named."""
    return [row for each in statements if each.rule == "name" and (row := _named(each.value).row)]


def tells_network(statements: Iterable[Statement]) -> bool:
    """Whether what was read names a whole network, and so all of its settings."""
    names = [_named(each.value) for each in statements if each.rule == "name"]
    return any(name.ours and not name.rest for name in names) or states(statements, "library")


def states(statements: Iterable[Statement], rule: str) -> bool:
    """Whether there is a statement about this."""
    return any(each.rule == rule for each in statements)


def of_config(config: Mapping[str, Any]) -> tuple[Statement, ...]:
    """Returns the statements of a `config.json`: all keys but those that are known to change no number."""
    if hub := of_keras_hub(config, BESIDE):
        return hub
    kind = config.get("model_type")
    own = kind is None or str(kind).lower() in _LIBRARIES
    return tuple(_settings(config, strict=own))


def of_keras_hub(config: Mapping[str, Any], where: str) -> tuple[Statement, ...]:
    """Returns the statements of a config of KerasHub's ResNetBackbone, or of a task on one; () if it is of neither."""
    backbone = _backbone(config)
    if backbone.get("class_name") != _KERAS_HUB:
        return ()
    settings = backbone.get("config")
    found = settings.items() if isinstance(settings, Mapping) else ()
    return tuple(
        Statement(f"{_KERAS_HUB}.{key}", value, where) for key, value in found if str(key).lower() not in _IGNORED
    )


def _backbone(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of a task's backbone; that of no task, as it is."""
    own = config.get("config")
    backbone = own.get("backbone", config) if isinstance(own, Mapping) else None
    return backbone if isinstance(backbone, Mapping) else {}


def keras_cv_of(config: Mapping[str, Any]) -> str:
    """Returns the class of KerasCV's ResNet that a config is of, or a task on it; "" if it is of another model."""
    backbone = _backbone(config)
    kind = str(backbone.get("class_name"))
    return kind if kind in _KERAS_CV and str(backbone.get("module")).startswith("keras_cv.") else ""


def of_hub(statements: Iterable[Statement]) -> bool:
    """Whether a config of KerasHub says what a network is."""
    return states(statements, _HUBS_BLOCK)


def pooling_of(config: Mapping[str, Any]) -> Any:
    """Returns how a task of KerasHub pools the features that its classifier takes; None if it does not say."""
    own = config.get("config")
    return own.get("pooling") if isinstance(own, Mapping) and "backbone" in own else None


def of_catalogue(path: Path, checkpoint: Checkpoint | None) -> tuple[Statement, ...]:
    """Returns which network a published file is of: one of the catalogue, or one that is called as files there are."""
    if checkpoint:
        return (Statement("network", checkpoint.network, KEYED),)
    return tuple(Statement("network", network, CALLED) for network in {row.network for row in called(path.name)})


def of_digest(path: Path) -> tuple[Statement, ...]:
    """Returns which network a file is of that has the digest of one of the catalogue."""
    return tuple(Statement("network", network, HASHED) for network in {row.network for row in digested(path)})


def of_plan(plan: Plan) -> tuple[Statement, ...]:
    """Returns what a network that a file holds whole is, and its tensors don't show."""
    facts = {
        "antialias": plan.antialias,
        "avg_down": plan.averages_shortcuts,
        "downsample_in_first_stage": strides_first(plan),
        "gate_relu": plan.units[0].gate_relu,
        "stem_stride": plan.output_strides[0] if plan.stem else None,
    }
    return tuple(Statement(fact, value, WITHIN) for fact, value in facts.items())


def of_words(words: Mapping[str, Any]) -> tuple[Statement, ...]:
    """Returns the statements among the words that lie beside tensors in a file, by dotted name."""
    found = list(_of_mmengine(words.get(MMENGINE_CONFIG)))
    for name, value in words.items():
        *path, key = name.lower().split(".")
        nests = [i for i, part in enumerate(path) if part in _NESTS and part != "config"]  # a script's is of anything
        strict = bool(nests)
        about = path[nests[-1] :] if nests else []
        if any(part.startswith(_OTHERS) for part in path) or not _IGNORED.isdisjoint(about):
            continue
        if isinstance(words.get(name.rpartition(".")[0]), list | tuple) or (key in _NESTS and _is_off(value)):
            continue  # of a list, which is there as one
        if key in _AMBIGUOUS and not strict:
            continue
        statement = Statement(name, value, "the file")
        if statement.rule == "name":
            texts = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
            if not texts or (key in _LOOSE and _named(value).ours is None):
                continue
        if statement.rule or (strict and key not in _IGNORED):
            found.append(statement)
    return tuple(found)


def _of_mmengine(config: Any) -> Iterator[Statement]:
    """Yields where MMEngine's config, a text of Python, says that strides are, if it says one thing."""
    if isinstance(config, str) and len(styles := set(_MM_STYLE.findall(config))) == 1:
        yield Statement(f"{MMENGINE_CONFIG}: style", styles.pop(), "the file")


def _settings(config: Mapping[str, Any], path: str = "", *, strict: bool) -> Iterator[Statement]:
    """Yields the settings of an object and of those in it that hold settings of the network."""
    for key, value in config.items():
        name, plain = f"{path}{key}", str(key).lower()
        if plain in _NESTS and isinstance(value, Mapping) and path.count(".") < _DEEPEST:
            yield from _settings(value, f"{name}.", strict=True)
        elif plain in _NESTS and value in (None, {}, []):
            continue
        elif plain not in _IGNORED if strict else plain in _OF_OURS:
            yield Statement(name, value, BESIDE)


def _plain(value: Any) -> str:
    """The last part of a dotted name, in lower case, without what it is called with: "nn.ReLU(inplace=True)"."""
    text = re.sub(r"\(.*", "", str(value)).rpartition(".")[2]
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _is_off(value: Any) -> bool:
    """Whether a switch is off."""
    return value in (None, False, 0, "", "none", "None", "null", "false", "False") or value in ([], {}, ())


def _named(value: Any) -> Name:
    """What a value says as a network's name."""
    return Name(None) if _is_off(value) else read_name(value)


def _agrees_with(value: Any, plan: Plan) -> bool:
    """Whether a network of this name is of this kind."""
    name = _named(value)
    if name.ours:
        theirs, ours = _kind_of(name.row or RESNET50), _kind(plan)
        return all(ours[fact] == value for fact, value in theirs.items() if fact in ours)
    return name.ours is None


@lru_cache(maxsize=256)
def _kind_of(row: Variant) -> Mapping[str, Any]:
    """What the name of a row tells."""
    return _kind(plan_of(row))


def _kind(plan: Plan) -> dict[str, Any]:
    """What a network's name tells besides depth and widths; without what a part that is cut off would tell."""
    kind: dict[str, Any] = {
        "norm": plan.norm,
        "attention": attention_of(plan),
        "antialias": plan.antialias,
        "first stride": strides_first(plan),
    }
    if plan.stem:
        kind["stem"] = len(plan.stem)
    if plan.pool:
        kind["pool"] = isinstance(plan.pool, Conv)
    if any(isinstance(unit.shortcut, Conv) and unit.shortcut.stride > 1 for unit in plan.units):
        kind["shortcut"] = plan.averages_shortcuts
    return kind


def is_plain(plan: Plan) -> bool:
    """Whether a network is of the kind that all libraries have, and so all styles: widths and depth aside, ResNet50."""
    plain = _kind_of(RESNET50)
    same = all(plain[fact] == value for fact, value in _kind(plan).items() if fact in plain)
    return same and _widths(plan)[0] == 1 and _has_base_width(64, plan)


def strides_first(plan: Plan) -> bool:
    """Whether every stage strides, also the first one."""
    return prod(_strides(plan)) == 1 << len(plan.stages)


def attention_of(plan: Plan) -> str | None:
    """The kind of a network's gates, as `Attention.kind` has it."""
    return {1: "eca", 2: "se"}.get(len(plan.units[-1].attention))


def _widths(plan: Plan) -> tuple[int, int, int, int]:
    """Groups, and the channels of the first unit: of its first convolution, of the next, and out of it."""
    first, second = plan.units[0].convs[0], plan.units[0].convs[:2][-1]
    return second.groups, first.filters, second.filters, plan.units[0].filters


def _has_base_width(value: Any, plan: Plan) -> bool:
    """Whether the inner width of the first unit is that of this many channels per group, as timm counts them."""
    groups, _, inner, out = _widths(plan)
    if len(plan.units[0].convs) == 2:
        return bool(value == 64)
    return isinstance(value, int) and value > 0 and out // 4 * value // 64 * groups == inner


def _is_stem(value: Any, plan: Plan) -> bool:
    """Whether timm's name of a stem's kind is that of a plan; those that tell the padding of a pool are not known."""
    if _is_off(value):
        return len(plan.stem) < 2
    widths = [conv.filters for conv in plan.stem]
    tiered = len(widths) > 1 and widths[0] != widths[1]
    return len(widths) == 3 and value in (("deep_tiered", "tiered") if tiered else ("deep",))


def _is_gate(value: Any, plan: Plan) -> bool:
    """Whether gates are as a config has them: their kind, or the arguments of blocks with nothing else in them."""
    if isinstance(value, Mapping):
        return set(value) <= {"attn_layer"} and _is_gate(value.get("attn_layer"), plan)
    return (None if _is_off(value) else value) == attention_of(plan)


def _is_antialias(value: Any, plan: Plan) -> bool:
    """Whether what takes strides is of timm's name for it."""
    way = plan.antialias
    return way is None if _is_off(value) else way is not None and _plain(value) in _ANTIALIAS[way]


def _is_norm(value: Any, plan: Plan) -> bool:
    """Whether norms are of this name."""
    if value is None or isinstance(value, int | float):  # the default, or of a gradient
        return True
    pattern = {
        "batch": r"(frozen|sync)?(batch_?norm|bn|batch)(alization)?(act)?(2d)?",
        "group": r"(gn|group_?norm)(alization)?(act)?",
    }
    return re.fullmatch(pattern[plan.norm], _plain(value)) is not None


def _projections(plan: Plan) -> list[int]:
    """The sizes of the kernels of projections behind the first stage."""
    shortcuts = [unit.shortcut for stage in plan.stages[1:] for unit in stage]
    return [shortcut.kernel for shortcut in shortcuts if isinstance(shortcut, Conv)]


def _is_blocks(value: Any, plan: Plan) -> bool:
    """Whether a kind of unit is that of a plan: two convolutions are a basic one, three a bottleneck."""
    kind = re.sub(r"(residual|block)", "", _plain(value))
    return CONVS.get(kind) == len(plan.units[0].convs)


def _is_keras_hubs_block(value: Any, plan: Plan) -> bool:
    """Whether KerasHub's kind of units is that of a plan; in its vd networks means stride in front of projections."""
    kind = str(value)
    strides = any(isinstance(unit.shortcut, Conv) and unit.shortcut.stride > 1 for unit in plan.units)
    averages = plan.averages_shortcuts if strides else kind.endswith("_vd")
    return averages is kind.endswith("_vd") and _is_blocks(kind.removesuffix("_vd"), plan)


def _strides(plan: Plan) -> list[int]:
    """By how much each stage makes the map smaller, where no `output_stride` is reached."""
    striding = striding_convs(plan)
    return [2 ** sum(unit.name in striding for unit in stage) for stage in plan.stages]


_RULES: dict[str, Callable[[Any, Plan, float], bool]] = {
    "activation": lambda value, plan, epsilon: (
        value is None or _plain(value) in ("relu", "reluinplace", "softmax", "logsoftmax")  # the last are a top's
    ),
    "norm": lambda value, plan, epsilon: _is_norm(value, plan),
    "epsilon": lambda value, plan, epsilon: (
        value is None or (isinstance(value, int | float) and 0 < value < 1 and isclose(value, epsilon, rel_tol=0.01))
    ),
    "block": lambda value, plan, epsilon: value is None or _is_blocks(value, plan),
    _HUBS_BLOCK: lambda value, plan, epsilon: _is_keras_hubs_block(value, plan),
    "pre-activation": lambda value, plan, epsilon: bool(value) is (plan.version == 2),
    "off": lambda value, plan, epsilon: _is_off(value),
    "blur": lambda value, plan, epsilon: _is_antialias(value, plan),
    "stem": lambda value, plan, epsilon: _is_stem(value, plan),
    "deep stem": lambda value, plan, epsilon: _is_off(value) is (len(plan.stem) < 2),
    "stem's pool": lambda value, plan, epsilon: _is_off(value) is not isinstance(plan.pool, Conv),
    "averages": lambda value, plan, epsilon: _is_off(value) is not plan.averages_shortcuts,
    "first stride": lambda value, plan, epsilon: _is_off(value) is not strides_first(plan),
    "gate": lambda value, plan, epsilon: _is_gate(value, plan),
    "SE": lambda value, plan, epsilon: _is_off(value) is (attention_of(plan) != "se"),
    "gate's activation": lambda value, plan, epsilon: value is None or _plain(value) == "sigmoid",
    "gate's ReLU": lambda value, plan, epsilon: value is plan.units[0].gate_relu,
    "stem's stride": lambda value, plan, epsilon: value is None or not plan.stem or value == plan.output_strides[0],
    "groups": lambda value, plan, epsilon: value in (None, _widths(plan)[0]),
    "base width": lambda value, plan, epsilon: value is None or _has_base_width(value, plan),
    "reduction": lambda value, plan, epsilon: (
        value is None or (isinstance(value, int) and value > 0 and _widths(plan)[2] // value == _widths(plan)[1])
    ),
    "projection": lambda value, plan, epsilon: value is None or all(kernel == value for kernel in _projections(plan)),
    "dilation": lambda value, plan, epsilon: (
        _is_off(value) or str(value) in ("1", "[False, False, False]", "[1, 1, 1, 1]")
    ),
    "strides": lambda value, plan, epsilon: isinstance(value, list | tuple) and list(value) == _strides(plan),
    "last stride": lambda value, plan, epsilon: value in (None, _strides(plan)[-1]),
    "output_stride": lambda value, plan, epsilon: (
        value in (None, plan.output_strides[-1], plan.output_strides[0] * prod(_strides(plan)))
    ),
    "pooling": lambda value, plan, epsilon: value in (None, "", True, "avg", "fast", "average"),
    # Of which the style is read, which is compared.
    "first conv": lambda value, plan, epsilon: value in (None, True, False, CAFFE, "pytorch"),
    "library": lambda value, plan, epsilon: True,
    "front": lambda value, plan, epsilon: True,  # of which the caller is told
    "head": lambda value, plan, epsilon: True,  # by which a classifier is none of ours
    "name": lambda value, plan, epsilon: _agrees_with(value, plan),
}
_KEYS = {
    "activation": "hidden_act act_layer act act_fn act_func activation activation_fn activation_function act_type "
    "hidden_activation nonlinearity non_linearity",
    "norm": "norm_layer norm_type norm_fn",
    "epsilon": "eps epsilon norm_eps norm_epsilon bn_eps bn_epsilon batch_norm_eps batch_norm_epsilon",
    "block": "layer_type block block_type",
    "pre-activation": "use_pre_activation preact pre_activation",
    "blur": "aa_layer antialias anti_alias antialiased blur blur_pool",
    "stem": "stem_type",
    "deep stem": "deep_stem",
    "stem's pool": "replace_stem_pool",
    "averages": "avg_down",
    "first stride": "downsample_in_first_stage",
    "gate": "attn_layer attn block_args attention",
    "SE": "se use_se",
    "gate's activation": "gate_activation",
    "gate's ReLU": "gate_relu",
    "stem's stride": "stem_stride",
    "groups": "cardinality groups",
    "base width": "base_width width_per_group",
    "reduction": "reduce_first block_reduce_first",
    "projection": "down_kernel_size",
    "off": "cbam conv_layer ibn replace_stride_with_dilation weight_standardization auto_map quantization_config",
    "dilation": "dilation dilations dilated",
    "strides": "stackwise_num_strides strides",
    "last stride": "last_stride",
    "output_stride": "output_stride",
    "pooling": "global_pool gp pool_type pooling",
    "first conv": "downsample_in_bottleneck style",
    "library": "model_type",
    "front": IN_FRONT,
    "head": HEAD,
    "name": "architecture arch model_arch model_name backbone backbone_name base_model encoder_name network net_type",
}
# timm's names of what takes strides, by `Variant.antialias`.
_ANTIALIAS = {"avg": ("avg", "avgpool", "avgpool2d"), "blur": ("blur", "blurpool", "blurpool2d")}
_RULE_OF = {key: rule for rule, keys in _KEYS.items() for key in keys.split()}
_LIBRARIES = ("resnet", "timm_wrapper", "timm_backbone")  # transformers' kinds of models that are one of ours
_NESTS = ("model_args", "model_kwargs", "backbone_config", "backbone_kwargs", "config")
_OF_OURS = ("backbone", "dilation", "output_stride")  # of the settings of a network around ours
# Beside tensors these may be of anything.
_AMBIGUOUS = ("model_type", "style", "eps", "epsilon", "block", "strides", "pooling", "groups")
_LOOSE = ("model", "name", "type")  # keys whose values are networks' only where these are known
_OTHERS = ("optim", "lr_sched", "sched", "scaler", "amp", "loop", "callback", "transform", "augment", "metric")
# The other keys of a config that change no number of a network, by what they are about.
_HARMLESS = {
    "the file": "_name_or_path name_or_path name module class_name registered_name build_config compile_config "
    "trainable dtype torch_dtype transformers_version keras_version timm_version architectures library_name license "
    "tags paper_ids paper_name notes description url origin_url file hf_hub_id hf_hub_filename source tag custom_load "
    "pretrained pretrained_cfg pretrained_cfg_overlay use_pretrained_backbone use_timm_backbone checkpoint_path "
    "date author version weights assets framework backend task repo_id commit",
    "classes": "num_classes classes class_names num_labels id2label label2id labels label_names label_descriptions "
    "problem_type finetuning_task dataset dataset_name data data_dir",
    "what tensors show": "num_channels in_chans in_channels embedding_size hidden_sizes depths layers channels widths "
    "num_features stem_width num_blocks stackwise_num_filters "
    "stackwise_num_blocks input_conv_filters input_conv_kernel_sizes",
    "images": "input_size fixed_input_size test_input_size image_size img_size image_shape input_shape crop_pct "
    "test_crop_pct crop_mode interpolation mean std image_mean image_std pool_size first_conv classifier data_format "
    "include_rescaling",
    "what is returned": "out_features out_indices stage_names features_only output_hidden_states output_attentions "
    "return_dict use_return_dict do_pooling",
    "transformers alone": "use_cache tie_word_embeddings torchscript use_bfloat16 is_encoder_decoder is_decoder "
    "add_cross_attention tie_encoder_decoder pruned_heads chunk_size_feed_forward gradient_checkpointing "
    "tf_legacy_loss cross_attention_hidden_size max_length min_length do_sample early_stopping num_beams "
    "num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty "
    "no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores "
    "return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values "
    "exponential_decay_length_penalty suppress_tokens begin_suppress_tokens tokenizer_class prefix bos_token_id "
    "pad_token_id eos_token_id sep_token_id "
    "decoder_start_token_id task_specific_params _commit_hash _attn_implementation _attn_implementation_autoset",
    "training": "initializer_range init_weights zero_init_last zero_init_residual drop_rate drop_path_rate drop_path "
    "drop_block_rate dropout lr learning_rate batch_size epochs num_epochs seed optimizer opt weight_decay momentum "
    "scheduler sched warmup_epochs label_smoothing smoothing workers num_workers epoch step steps global_step best_acc "
    "best_acc1 best_prec1 accuracy loss metric val_acc val_loss",
}
_IGNORED = frozenset(key for keys in _HARMLESS.values() for key in keys.split())
