"""The command's face: help, errors that name what is near, progress, what goes to which stream, completion."""

import argparse
import errno
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

import keras_resnet
from keras_resnet import cli, labels
from keras_resnet.cli import quiet
from keras_resnet.cli.parser import parser
from keras_resnet.training import run_folder
from keras_resnet.utils import progress
from keras_resnet.utils.errors import near_path
from keras_resnet.utils.progress import Progress, takes_colours, track, waiting
from tests.helpers.pictures import draw_folder

pytestmark = pytest.mark.one_backend
ROOT = Path(__file__).parents[2]
COMMANDS = ("train", "predict", "evaluate", "list", "convert", "export", "benchmark", "completion")
Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command in an empty folder; returns its status and what it prints on both streams."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            status = cli.main(arguments)
        except SystemExit as end:  # argparse's
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return run


def on_a_terminal(*arguments: str, cwd: Path, **environment: str) -> bytes:
    """What a command writes where both streams are a terminal."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(cwd)
        os.environ.pop("NO_COLOR", None)
        home = {"KERAS_HOME": str(cwd), "PYTHONPATH": f"{ROOT}", "KERAS_BACKEND": "torch", "TERM": "xterm-256color"}
        os.environ.update(home | environment)
        os.execv(sys.executable, [sys.executable, "-m", "keras_resnet", *arguments])
    found = b""
    while True:
        try:
            more = os.read(terminal, 1 << 16)
        except OSError:  # it has ended
            break
        found += more
        if not more:
            break
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, found
    return found


def test_alone_it_names_each_command_and_what_it_is_for(said: Said) -> None:
    status, out, err = said()
    assert (status, err) == (0, "")
    assert said("--help") == (0, out, "")
    assert 10 <= len(out.splitlines()) <= 14
    assert re.findall(r"^  (\w+) +\w+ .*\w$", out, re.MULTILINE) == list(COMMANDS)
    assert said("--version") == (0, f"keras-resnet {keras_resnet.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", [80, 160])
def test_help_begins_with_examples_that_parse_and_says_each_default_and_value(
    command: str, columns: int, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    status, out, err = said(command, "--help")
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= min(columns, 100)
    examples = re.findall(rf"^  keras-resnet ({command}\b.*)", out[: out.index("usage: ")], re.MULTILINE)
    assert 1 <= len(examples) <= 3
    for example in examples:
        assert parser().parse_args(re.split(" >", example)[0].split()).command == command
    text = " ".join(out.split())
    assert "None" not in text
    assert not re.search(r"\b(pictures?|units?|rows?)\b", text)
    (commands,) = (each.choices for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    for action in commands[command]._actions:
        if action.option_strings and action.nargs != 0 and not action.required:
            assert action.default is not None or "(default: " in str(action.help), action.dest
        for value in action.choices or () if action.dest not in ("to", "shell") else ():
            assert f"\n{value}: " in str(action.help), (action.dest, value)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("train digits --epoch 3", "keras-resnet train: unknown option --epoch; did you mean --epochs?"),
        ("train --epoch=3", "keras-resnet train: unknown option --epoch; did you mean --epochs?"),
        ("predict a.keras b.png --tpo 3", "keras-resnet predict: unknown option --tpo; did you mean --top?"),
        ("train digits -e", "keras-resnet train: unknown option -e"),
        ("predict -x.png b.png", "keras-resnet predict: unknown option -x.png"),
        ("train digits -hx", "keras-resnet train: unknown option -hx; did you mean -h?"),
        ("predict --top -3 a b", "keras-resnet predict: --top must be a whole number above 0; received '-3'"),
        (
            "list --style torhc",
            "keras-resnet list: --style must be one of keras, torch, slim, classification_models, "
            "classification_models_1x1, bit, senet, senet_1x1; received 'torhc'; did you mean torch?",
        ),
        ("train digits more", "keras-resnet train: unexpected argument 'more'"),
        ("train", "keras-resnet train: the following arguments are required: DATA"),
        ("evalute", "keras-resnet: unknown command 'evalute'; did you mean evaluate?"),
        ("--verison", "keras-resnet: unknown option --verison; did you mean --version?"),
        (
            "train digits --augment ligth",
            "keras-resnet train: --augment must be one of none, light, strong; received 'ligth'; did you mean light?",
        ),
        ("train digits --epochs 0", "keras-resnet train: --epochs must be a whole number above 0; received '0'"),
        ("train digits --epochs", "keras-resnet train: --epochs: expected one argument"),
    ],
)
def test_a_usage_error_is_short_and_names_the_near_one(typed: str, expected: str, said: Said) -> None:
    command = re.match(r"keras-resnet[\w ]*", expected)
    assert command is not None
    assert said(*typed.split()) == (2, "", f"{expected}\nsee {command[0]} --help\n")


def test_words_after_two_dashes_and_values_are_no_options(said: Said) -> None:
    assert "There is no model file 'a'" in said("predict", "--", "a", "--epoch")[2]
    assert "There is no model file '--a b'" in said("predict", "--a b", "c")[2]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("train flwoers", "`DATA` must be a folder of images; there is no folder 'flwoers'. Did you mean 'flowers'?"),
        ("train x", "there is no folder 'x'. This folder holds flowers, model.keras."),
        ("train flowers/x", "there is no folder 'flowers/x'. 'flowers' holds circle, square, triangle."),
        ("train digits --weights imagenett", "received 'imagenett'. Did you mean 'imagenet'?"),
        ("train digits --weights modle.keras", "received 'modle.keras'. Did you mean 'model.keras'?"),
        ("predict modle.keras a.png", "Did you mean 'model.keras'?"),
        ("predict timm/resnet18.a1_in a.png", "Did you mean 'timm/resnet18.a1_in1k'?"),
        ("predict model.keras flwoers/circle/0.jpg", "Did you mean 'flowers/circle/0.jpg'?"),
        (
            "evaluate model.keras flwoers",
            "`DATA` must be a folder of images; there is no folder 'flwoers'. Did you mean 'flowers'?",
        ),
        ("convert modle.keras a.pth", "received 'modle.keras'. Did you mean 'model.keras'?"),
        ("convert torchvison/resnet18.v1 a.pth", "Did you mean 'torchvision/resnet18.v1'?"),
        ("convert model.keras flwoers/a.pth", "there is no folder 'flwoers'. Did you mean 'flowers'?"),
        ("export modle.keras --format onnx", "Did you mean 'model.keras'?"),
        ("export model.keras flwoers/a.onnx --format onnx", "there is no folder 'flwoers'. Did you mean 'flowers'?"),
        ("benchmark --png flwoers/a.png", "received 'flwoers/a.png'. Did you mean 'flowers'?"),
    ],
)
def test_a_mistyped_path_or_key_says_what_lies_nearby(typed: str, expected: str, said: Said) -> None:
    draw_folder(Path("flowers"), 1)
    keras_resnet.ResNet20(input_shape=(8, 8, 3), classes=3).save("model.keras")
    status, out, err = said(*typed.split())
    assert (status, out) == (1, "")
    assert expected in err


def test_what_lies_near_a_path_is_told_as_far_as_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert near_path("x") == " This folder is empty."
    Path("Flowers", "train").mkdir(parents=True)
    Path(".hidden").touch()
    assert near_path("flowres/train") == " Did you mean 'Flowers/train'?"
    assert near_path("flowres/test") == " Did you mean 'Flowers'?"
    assert near_path("Flowers") == " It is a folder."
    Path("Flowers", "model.keras").touch()
    assert near_path("Flowers") == f" It is a folder. Did you mean {str(Path('Flowers', 'model.keras'))!r}?"
    for index in range(9):
        Path(f"{index}").touch()
    assert near_path("zzz") == " This folder holds 0, 1, 2, 3, 4 and 5 more."
    assert near_path("keys/zzz", ["keys/zzy"]) == " Did you mean 'keys/zzy'?"


def test_nothing_is_told_of_what_lies_near_a_path_that_names_nothing_or_cannot_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert near_path("") == ""
    long = "x" * 300
    for path in (f"{long}/y", f"y/{long}", "\0/y"):
        assert near_path(path) == " This folder is empty."
    Path("y").mkdir()
    assert near_path(f"yy/{long}") == " Did you mean 'y'?"

    def refuse(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", refuse)
        assert near_path("x") == ""
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "isdir", lambda path: False)  # as of a drive that is not there
        assert near_path("x/y") == ""


def test_errors_of_the_library_speak_of_options(said: Said) -> None:
    (train,) = (parser().parse_args(["train", "x"]).parser for _ in "x")
    assert train.in_options("`image_size` must be 1; pass weights=None or style='x' (before=1)") == (
        "`--image-size` must be 1; pass --weights none or style='x' (before=1)"
    )
    for named in ("'`image_size`'", "\"weights='x'\"", "'a weights=None b'"):  # files of the user's
        assert train.in_options(f"`data`: there is no {named}") == f"`DATA`: there is no {named}"
    assert "or 'resnetv2_50'; received 'x'" in said("train", "digits", "--model", "x")[2]
    assert train.in_options("a key of keras_resnet.list_weights()") == "a key of `keras-resnet list`"
    assert "a key of `keras-resnet list`" in said("train", "digits", "--weights", "x")[2]
    assert "`SOURCE` must be" in said("convert", "x", "y.pth")[2]


def test_of_a_file_of_several_networks_the_command_says_how_to_take_one(said: Said) -> None:
    keras_resnet.save_weights(keras_resnet.ResNet20(input_shape=(8, 8, 3)), "one.safetensors")
    tensors = load_file("one.safetensors")
    save_file({f"{side}.{name}": tensors[name] for side in ("left", "right") for name in tensors}, "two.safetensors")
    for command in (
        ("train", "digits", "--model", "ResNet20", "--epochs", "1", "--weights", "two.safetensors"),
        ("convert", "two.safetensors", "network.keras"),
        ("predict", "two.safetensors", "a.png"),
        ("evaluate", "two.safetensors", "digits"),
    ):
        status, _, err = said(*command)
        assert status == 1
        assert "'two.safetensors' holds several networks. Pass --scope left or --scope right." in err
        assert "`source`" not in err
    assert said("convert", "two.safetensors", "network.keras", "--scope", "left.")[0] == 0
    for none in ((), ("--weights", "none"), ("--weights", "imagenet")):
        _, _, err = said("train", "digits", "--model", "ResNet20", "--scope", "left", *none)
        assert "--scope left is for a file that holds several networks: pass it as --weights" in err


def test_a_resumed_run_has_the_scope_that_it_began_with(said: Said) -> None:
    keras_resnet.save_weights(keras_resnet.ResNet20(input_shape=(8, 8, 3)), "one.safetensors")
    tensors = load_file("one.safetensors")
    save_file({f"{side}.{name}": tensors[name] for side in ("left", "right") for name in tensors}, "two.safetensors")
    chosen = {"network": "ResNet20", "weights": "two.safetensors", "image_size": 16}
    Path("out").mkdir()
    run_folder.write(Path("out"), arguments={"asked": {"scope": "left"}, "chosen": chosen}, versions={})
    more = ("--weights", "two.safetensors", "--out", "out", "--resume", "--scope")
    assert "asked scope was 'left' and is 'right'" in said("train", "digits", *more, "right")[2]
    assert "asked scope" not in said("train", "digits", *more, "left")[2]


def test_the_commands_take_head_and_averages(said: Said) -> None:
    small: dict[str, Any] = {"input_shape": (32, 32, 3), "style": "torch", "classes": 3}
    Image.new("RGB", (32, 32)).save("a.png")
    tensors: dict[str, Any] = {}
    for scope, bias in (("raw", (9.0, 0.0, 0.0)), ("model_ema", (0.0, 9.0, 0.0))):
        model = keras_resnet.ResNet20(**small)
        model.get_layer("predictions").kernel.assign(np.zeros((64, 3)))
        model.get_layer("predictions").bias.assign(bias)
        keras_resnet.save_weights(model, "one.safetensors")
        tensors |= {
            f"{scope}.{name.replace('fc.', 'head.')}": each for name, each in load_file("one.safetensors").items()
        }
        other = {"weight": np.zeros((3, 64), "f4"), "bias": np.array([0.0, 0.0, 9.0], "f4")}
        tensors |= {f"{scope}.aux.{name}": value for name, value in other.items()}
    save_file(tensors, "two.safetensors")
    for options, best in (
        (("--scope", "raw", "--head", "head"), "0"),
        (("--scope", "model_ema", "--head", "model_ema.head"), "1"),
        (("--averages", "--head", "head"), "1"),
        (("--averages", "--head", "aux"), "2"),
    ):
        status, out, _ = said("predict", "two.safetensors", "a.png", "--json", *options)
        assert status == 0
        assert json.loads(out)[0]["predictions"][0]["class"] == best
        status, out, _ = said("convert", "two.safetensors", "one.keras", "--overwrite", *options)
        assert (status, "3 classes" in out) == (0, True)
    _, _, err = said("predict", "two.safetensors", "a.png", "--averages")
    assert "Several matrices of the file may be its classifier: 'model_ema.aux' (3, 64)" in err
    assert "Pass --head model_ema.aux or --head model_ema.head." in err
    status, out, _ = said("convert", "two.safetensors", "one.keras", "--overwrite", "--averages")
    assert "no classifier" in out
    assert "classifier: Several matrices" in out
    assert "Pass --head model_ema.aux" in out
    assert "has no moving averages" not in said("evaluate", "two.safetensors", "digits", "--averages")[2]


def test_help_is_a_command_too(said: Said) -> None:
    assert said("help") == said("--help") == (0, said()[1], "")
    assert said("help", "train") == said("train", "--help")


def test_convert_keeps_the_names_of_the_classes(said: Said) -> None:
    network = keras_resnet.ResNet20(input_shape=(8, 8, 3), classes=2, include_preprocessing=True)
    labels.with_class_names(network, ["cat", "dog"]).save("named.keras")
    assert said("convert", "named.keras", "again.keras", "--include-preprocessing", "--verify")[0] == 0
    assert labels.class_names(keras.models.load_model("again.keras")) == ("cat", "dog")


def test_predict_ends_in_an_error_where_an_image_that_was_named_can_not_be_read(said: Said) -> None:
    draw_folder(Path("shapes"), 1)
    Path("shapes", "circle", "notes.txt").write_text("no image")
    keras_resnet.ResNet20(input_shape=(None, None, 3), classes=2, include_preprocessing=True).save("any.keras")
    status, out, err = said("predict", "any.keras", "shapes", "--csv", "--image-size", "8")
    assert (status, len(out.splitlines())) == (0, 1 + 2 * 3)
    status, out, err = said("predict", "any.keras", "shapes", "gone.jpg", "--csv", "--image-size", "8")
    assert (status, len(out.splitlines())) == (1, 1 + 2 * 3)
    assert "1 of the images named can't be read" in err
    Path("empty").mkdir()
    assert "There is no file in 'empty'" in said("predict", "any.keras", "empty")[2]
    assert "takes images of any size, and gets each at its own" in said("predict", "any.keras", "shapes")[2]


class Terminal:
    """A stream that says whether it is a terminal."""

    def __init__(self, tty: bool) -> None:
        self.tty, self.text = tty, ""

    def isatty(self) -> bool:
        return self.tty

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("tty", [True, False])
def test_counts_are_shown_of_what_takes_longer_than_a_moment(tty: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(), Terminal(tty)
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(track(range(3), "reading", 3, "images")) == [0, 1, 2]
    assert stream.text == ""
    for _ in track(range(40), "reading", 40, "images"):
        clock.now += 1
    progress.say("done")
    lines = [line.rstrip() for line in stream.text.replace("\n\r", "\n").split("\n")]
    if tty:
        states, done, end = lines
        assert states.count("\r") == 40
        assert states.split("\r")[1].rstrip() == "reading: 1 of 40 images, 2%, 1.0 images/s"
        assert states.split("\r")[-1].rstrip() == "reading: 40 of 40 images, 100%, 1.0 images/s"
    else:
        *told, done, end = lines
        assert told == [f"reading: {n} of 40 images, {n * 100 // 40}%, 1.0 images/s" for n in (10, 20, 30, 40)]
    assert (done, end) == ("done", "")


def test_what_has_no_parts_shows_its_time_and_lines_between_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal(True)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "_EVERY", 0.001)
    monkeypatch.setattr(progress, "_QUICK", 0.0)
    with waiting("verifying"):
        while "verifying: 0 s" not in stream.text:
            pass
        progress.say("note: x")
    assert re.search(r"(^|\n)note: x\n", stream.text)
    assert stream.text.endswith("\n")
    with pytest.raises(ValueError, match="x"), waiting("verifying"):
        raise ValueError("x")


def test_lines_on_a_terminal_break_between_words_but_commands_to_copy_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal(True)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "20")
    progress.say("one two three four five six\n  a command that is to be copied")
    assert stream.text == "one two three four\n  five six\n  a command that is to be copied\n"
    with monkeypatch.context() as patch:
        patch.setattr(progress, "_QUICK", 0.0)
        stream.text = ""
        Progress("reading images", 0, 9, "images").show(1)
    assert stream.text == "\rreading images: 1 o"  # a longer one would not be covered by the next
    progress.say("")
    Progress("Downloading https://example.org/a-very-long-name", 0, None)
    assert stream.text.endswith("Downloading\n  https://example.org/a-very-long-name\n")


def test_colours_are_for_terminals_that_want_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream: Any = Terminal(True)
    assert takes_colours(stream)
    assert not takes_colours(None)
    stream.tty = False
    assert not takes_colours(stream)
    table = ("list", "ResNet18")
    assert b"\x1b[" in on_a_terminal(*table, cwd=tmp_path)
    assert b"\x1b" not in on_a_terminal(*table, cwd=tmp_path, NO_COLOR="1")
    assert b"\x1b" not in on_a_terminal(*table, cwd=tmp_path, TERM="dumb")


def test_a_training_without_colours_has_none_and_shows_its_epochs(tmp_path: Path) -> None:
    """Keras' own bar has colours, whatever NO_COLOR says."""
    draw_folder(tmp_path / "shapes", 4)
    typed = ("train", "shapes", "--image-size", "8", "--epochs", "1", "--weights", "none")
    plain = on_a_terminal(*typed, cwd=tmp_path, NO_COLOR="1")
    assert b"\x1b" not in plain
    assert b"val_accuracy" in plain


def test_without_any_stream_commands_come_to_their_end(
    tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_folder(Path("shapes"), 4)
    typed = "train shapes --image-size 8 --epochs 1 --weights none --out run"
    with monkeypatch.context() as patch:
        for stream in ("stdout", "stderr"):
            patch.setattr(sys, stream, None)  # as Python has it where the descriptor is closed
        for command in (typed, "list ResNet18", "predict run/model.keras shapes --csv"):
            assert cli.main(command.split()) == 0
    assert Path("run", "report.md").is_file()


def test_imports_need_no_descriptor_to_be_quiet_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: int) -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(quiet, "_asked", False)
    monkeypatch.setattr(os, "dup", closed)
    with quiet.quiet_import():
        pass


def test_where_nothing_is_a_terminal_there_are_no_colours_and_results_stand_alone(tmp_path: Path, said: Said) -> None:
    keras_resnet.ResNet20(input_shape=(8, 8, 3), classes=3, include_preprocessing=True).save("model.keras")
    Image.new("RGB", (8, 8)).save("a.png")
    for typed, begin in (("--json", "["), ("--csv", "image,rank"), ("--top 1", " ")):
        status, out, err = said("predict", "model.keras", "a.png", *typed.split())
        assert (status, err) == (0, "backend: torch\n")
        assert out.startswith(begin)
        assert "\x1b" not in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_commands_options_values_and_networks(shell: str, said: Said) -> None:
    status, out, err = said("completion", shell)
    assert (status, err) == (0, "")
    for word in (*COMMANDS, "ResNet50V2", "strong"):
        assert word in out
    for option in ("unfreeze-from", "include-preprocessing"):
        assert option in out


def test_bash_completes_what_is_typed(tmp_path: Path, said: Said) -> None:
    Path("flowers").mkdir()
    Path("script").write_text(said("completion", "bash")[1])

    def complete(*words: str) -> set[str]:
        code = f"source ./script; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _shtab_keras_resnet"
        call = f'{code} keras-resnet "{words[-1]}"; printf "%s\\n" "${{COMPREPLY[@]}}"'
        found = subprocess.run(["bash", "-c", call], capture_output=True, text=True, check=False)
        return set(found.stdout.split())

    assert complete("keras-resnet", "ev") == {"evaluate"}
    assert complete("keras-resnet", "train", "--unf") == {"--unfreeze-from"}
    assert complete("keras-resnet", "train", "--augment", "st") == {"strong"}
    assert complete("keras-resnet", "train", "--model", "ResNet50V") == {"ResNet50V2"}
    assert complete("keras-resnet", "train", "--weights", "imag") == {"imagenet"}
    assert complete("keras-resnet", "list", "--family", "barl") == {"barlowtwins"}
    assert complete("keras-resnet", "list", "WideResNet10") == {"WideResNet101"}
    assert complete("keras-resnet", "train", "flo") == {"flowers"}
