"""What a file, or the `config.json` beside it, states about a network; whether one of ours is as it says.

A tensor shows neither an activation nor a blur. What states such a fact must agree with the network that takes the
weights; a key that is not known here, where a library writes nothing but its networks' settings, agrees with none.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isclose, prod
from typing import Any

from keras_resnet.architecture.detect import striding_convs
from keras_resnet.architecture.plans import Plan
from keras_resnet.architecture.rows import find_row
from keras_resnet.checkpoints.formats.torch.find import MMENGINE_CONFIG

BESIDE = "the config.json beside it"
CONVS = {"basic": 2, "bottleneck": 3}  # in a unit
CAFFE = "caffe"  # MMEngine's name of strides in the first 1x1
_MM_SCALING = re.compile(r"\bdata_preprocessor ?= ?dict\(([^()]{1,999})\)")
_MM_NUMBERS = re.compile(r"\b(mean|std) ?= ?[\[(]([^\[\]()]*)[\])]")
_MM_STYLE = re.compile(rf"\bstyle ?= ?['\"]({CAFFE}|pytorch)['\"]")
_DEEPEST = 8  # of objects in an object
_SHOWN = 99  # characters of a value in a message
_LONGEST = 999  # of a name


Scaling = tuple[Any, Any]  # means and deviations


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
        if last in _LOOSE and path and path[-1] in (*_KEYS["name"].split(), "model"):
            return "name"
        return "name" if last == "model" else _RULE_OF.get(last, "")

    @property
    def foreign(self) -> bool:
        """Whether networks of all builders agree about the setting, so that another value is of none."""
        named = self.rule == "name" and _read_name(self.value)[0] is False
        return named or self.rule in ("activation", "norm", "blur", "pooling", "last stride")

    def __str__(self) -> str:
        return f"{self.where} states {self.setting}: {self.value!r:.{_SHOWN}}"


def agrees(statement: Statement, plan: Plan, epsilon: float) -> bool:
    """Whether a network of this plan, whose norms have this epsilon, is as a statement says."""
    rule = statement.rule
    return rule != "" and _RULES[rule](statement.value, plan, epsilon)


def not_understood(statement: Statement) -> str:
    """Returns what of a network's name is not known to change a number, nor to change none; "" if there is nothing."""
    return ", ".join(map(repr, _read_name(statement.value)[1])) if statement.rule == "name" else ""


def tells_network(statements: Iterable[Statement]) -> bool:
    """Whether what was read names a whole network, and so all of its settings."""
    return any(
        (each.rule == "name" and _read_name(each.value) == (True, [])) or each.rule == "library" for each in statements
    )


def states(statements: Iterable[Statement], rule: str) -> bool:
    """Whether there is a statement about this."""
    return any(each.rule == rule for each in statements)


def of_config(config: Mapping[str, Any]) -> tuple[Statement, ...]:
    """Returns the statements of a `config.json`: all keys but those that are known to change no number."""
    kind = config.get("model_type")
    own = kind is None or str(kind).lower() in _LIBRARIES
    return tuple(_settings(config, strict=own))


def scaling_of(config: Mapping[str, Any]) -> Scaling | None:
    """Returns what a `config.json` states as means and deviations of pixels, as timm writes them, whatever it is."""
    images = config.get("pretrained_cfg")
    images = images if isinstance(images, Mapping) else config
    scaling = images.get("mean"), images.get("std")
    return None if scaling == (None, None) else scaling


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
            if not texts or (key in _LOOSE and _read_name(value)[0] is None):
                continue
        if statement.rule or (strict and key not in _IGNORED):
            found.append(statement)
    return tuple(found)


def _of_mmengine(config: Any) -> Iterator[Statement]:
    """Yields where MMEngine's config, a text of Python, says that strides are, if it says one thing."""
    if isinstance(config, str) and len(styles := set(_MM_STYLE.findall(config))) == 1:
        yield Statement(f"{MMENGINE_CONFIG}: style", styles.pop(), "the file")


def scaling_of_words(words: Mapping[str, Any]) -> Scaling | None:
    """Returns what MMEngine's config states as means and deviations, of pixels in [0, 255] there."""
    config = words.get(MMENGINE_CONFIG)
    found = _MM_SCALING.search(config) if isinstance(config, str) else None
    if not found:
        return None
    stated = {key: re.findall(r"-?\d+\.?\d*", numbers) for key, numbers in _MM_NUMBERS.findall(found[1])}
    if not {"mean", "std"} <= stated.keys():
        return None
    mean, deviation = ([float(number) / 255 for number in stated[key]] for key in ("mean", "std"))
    return (mean, deviation) if "to_rgb=True" in found[1].replace(" ", "") else (f"{mean} of BGR", deviation)


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


def _read_name(value: Any) -> tuple[bool | None, list[str]]:
    """Reads a network's name: whether it is a plain ResNet's, None if it does not tell, and the words left over."""
    if _is_off(value):
        return None, []
    text, shown = str(value)[:_LONGEST].lower(), [f"{value!s:.{_SHOWN}}"]
    if isinstance(value, list | tuple | dict):
        return False, shown
    try:
        find_row(text)
        return True, []
    except ValueError:
        pass
    parts = [part for part in re.split(r"[./\s:]+", text) if part]
    name = next((part for part in parts if re.search(r"resne\D{0,20}\d", part)), parts[-1] if parts else "")
    name = re.sub(r"-[0-9a-f]{8}$", "", name)  # of a file's hash, as PyTorch's hub appends it
    plain = _PLAIN.search(name)
    match = plain or _UNNUMBERED.search(name)
    rest = name[: match.start()] + name[match.end() :] if match else name
    words = re.findall(r"[a-z]+\d*", rest)
    if any(re.match(_CHANGES, word) for word in words):
        return False, words
    if plain is None:
        return (False if re.search(_FAMILIES, _UNNUMBERED.sub("", text)) else None), shown
    return True, [word for word in words if word not in _WORDS.split()]


def _is_blocks(value: Any, plan: Plan) -> bool:
    """Whether a kind of unit is that of a plan: two convolutions are a basic one, three a bottleneck."""
    kind = re.sub(r"(residual|block)", "", _plain(value))
    return CONVS.get(kind) == len(plan.units[0].convs)


def _strides(plan: Plan) -> list[int]:
    """By how much each stage makes the map smaller, where no `output_stride` is reached."""
    striding = striding_convs(plan)
    return [2 ** sum(unit.name in striding for unit in stage) for stage in plan.stages]


_RULES: dict[str, Callable[[Any, Plan, float], bool]] = {
    "activation": lambda value, plan, epsilon: (
        value is None or _plain(value) in ("relu", "reluinplace", "softmax", "logsoftmax")  # the last are a top's
    ),
    "norm": lambda value, plan, epsilon: (
        value is None
        or isinstance(value, int | float)  # a gradient's norm
        or re.fullmatch(r"(frozen|sync)?(batch_?norm|bn|batch)(alization)?(act)?(2d)?", _plain(value)) is not None
    ),
    "epsilon": lambda value, plan, epsilon: (
        value is None or (isinstance(value, int | float) and 0 < value < 1 and isclose(value, epsilon, rel_tol=0.01))
    ),
    "block": lambda value, plan, epsilon: value is None or _is_blocks(value, plan),
    "pre-activation": lambda value, plan, epsilon: bool(value) is (plan.version == 2),
    "off": lambda value, plan, epsilon: _is_off(value),
    "blur": lambda value, plan, epsilon: _is_off(value),
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
    "name": lambda value, plan, epsilon: _read_name(value)[0] is not False,
}
_KEYS = {
    "activation": "hidden_act act_layer act act_fn act_func activation activation_fn activation_function act_type "
    "hidden_activation nonlinearity non_linearity",
    "norm": "norm_layer norm_type norm_fn",
    "epsilon": "eps epsilon norm_eps norm_epsilon bn_eps bn_epsilon batch_norm_eps batch_norm_epsilon",
    "block": "layer_type block block_type",
    "pre-activation": "use_pre_activation preact pre_activation",
    "blur": "aa_layer antialias anti_alias antialiased blur blur_pool",
    "off": "downsample_in_first_stage avg_down stem_type deep_stem attn_layer attn block_args attention se use_se cbam "
    "replace_stem_pool conv_layer ibn replace_stride_with_dilation weight_standardization auto_map quantization_config",
    "dilation": "dilation dilations dilated",
    "strides": "stackwise_num_strides strides",
    "last stride": "last_stride",
    "output_stride": "output_stride",
    "pooling": "global_pool gp pool_type pooling",
    "first conv": "downsample_in_bottleneck style",
    "library": "model_type",
    "name": "architecture arch model_arch model_name backbone backbone_name base_model encoder_name network net_type",
}
_RULE_OF = {key: rule for rule, keys in _KEYS.items() for key in keys.split()}
_LIBRARIES = ("resnet", "timm_wrapper", "timm_backbone")  # transformers' kinds of models that are one of ours
_NESTS = ("model_args", "model_kwargs", "backbone_config", "backbone_kwargs", "config")
_OF_OURS = ("backbone", "dilation", "output_stride")  # of the settings of a network around ours
# Beside tensors these may be of anything.
_AMBIGUOUS = ("model_type", "style", "eps", "epsilon", "block", "strides", "pooling")
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
    "num_features cardinality base_width stem_width width_per_group groups num_blocks stackwise_num_filters "
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
# A plain network's name: its depth, widths and groups are shown by its tensors.
_PLAIN = re.compile(
    r"(?<![a-z0-9])(?:(?:tv|gluon|ssl|swsl|ig|cifar|cifar10|cifar100|imagenet|wide|pre_?act(?:ivation)?|moco|byol|simclr"
    r"|simsiam|swav|dino|vicreg|barlow_?twins|sup|supcon|linear|custom|my|torchvision|timm|microsoft)[-_]?){0,6}"
    r"(?:wide_?)?(?:pre_?act_?)?resne(?:t|xt)[-_]?(?:v[12](?:[-_]?\d*)?[-_])?\d+(?:v[12])?"
    r"(?:[-_]\d+(?:x\d+d)?|[-_]?[wx]\d)?"
)
_UNNUMBERED = re.compile(r"(?<![a-z0-9])resne(?:t|xt)(?=$|[^a-z0-9]|for|model|net|backbone|encoder|classifier)")
_WORDS = (
    "cifar cifar10 cifar100 imagenet imagenet1k in1k v1 v2 tv torchvision timm moco simclr byol swav dino pretrained "
    "model weights finetuned ft best final baseline basic bottleneck backbone encoder classifier gluon b"
)
# What a word beside a plain name may mean that changes numbers.
_CHANGES = re.compile(
    r"(aa|elu|gn|ln|ibn|frn|se|eca|sk|ge|gc|bot|ws|std|nf|os|bat|bit|lpf|dc|fcn)\d*$|(vd|ts|[cdqst])$"
    r"|blur|anti|silu|gelu|swish|mish|relu\d|leaky|selu|prelu|hardsw|tanh|groupnorm|layernorm|instance|evonorm|cbam|bam"
    r"|attn|attention|halo|lambda|csp|dcn|deform|dilat|atrous|fixup|rezero|maxblur|octave|deeplab|psp"
)
# Names of networks that are none of ours.
_FAMILIES = re.compile(
    r"resne|res2ne|resnest|dense|vgg|inception|xception|mobile|efficient|regnet|botnet|halo|lambda|darknet|dla\d|drn|hrnet"
    r"|nfnet|csp|senet|ecanet|sknet|shuffle|squeeze|google|alexnet|convnext|vit|deit|swin|dpn|vovnet|ghost|rexnet"
)
