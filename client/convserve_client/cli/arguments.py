"""The command's arguments: which there are, and what is said of them."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from pathlib import Path
from typing import TypeAlias

from convserve import __version__
from convserve.exports import FORMATS
from convserve.layers.fields import BORDER_MODES
from convserve.operations import METHODS, MODES

from convserve_client._operations import ACTIVATIONS
from convserve_client.cli.kernels import KERNELS
from convserve_client.cli.values import AXES, COUNT, INTS, PADDING, SHAPE, SIZES, parse_file

NETWORK_HELP = """\
NETWORK is an ONNX model (.onnx), Keras's to_json() (.json), Caffe's .prototxt, Darknet's .cfg, or a
JSON file of convserve's own: a list of layers, or an object with "layers" and, for graphs, "inputs"
and "outputs". Each layer has its "kind" and the fields of its class:

  {"layers": [
    {"kind": "conv", "out_channels": 64, "kernel_size": 7, "stride": 2, "padding": 3},
    {"kind": "relu"},
    {"kind": "max_pool", "kernel_size": 3, "stride": 2, "padding": 1}
  ]}
"""
NETWORK_FILE = ".onnx, .json, .prototxt or .cfg"
DESCRIPTION = """\
Plan and run convolutions on a convserve server.

Without --server (or the variable CONVSERVE_SERVER) a server is started for the call, which needs
convserve-server. Tensors are .npy files; pictures (.png, .jpg) become (1, C, H, W) float32 from 0
to 1. Existing output files are overwritten.
"""

Commands: TypeAlias = "argparse._SubParsersAction[ArgumentParser]"  # it has no public name


def parser() -> ArgumentParser:
    """The parser of the whole command."""
    root = ArgumentParser(
        prog="convserve",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"convserve {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        *(_add_plan, _add_tiles, _add_explain, _add_find, _add_run, _add_conv, _add_convolve),
        *(_add_info, _add_devices, _add_bench),
    ):
        add(commands)
    return root


def _command(commands: Commands, name: str, text: str, epilog: str = "") -> ArgumentParser:
    command = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--server", metavar="ADDRESS", help="host:port or unix:/path")
    command.add_argument("--token", help="bearer token (or the variable CONVSERVE_TOKEN)")
    command.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="default 60"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _add_device(command: ArgumentParser) -> None:
    command.add_argument(
        "--device",
        metavar="NAME",
        help="of `convserve devices`, such as cpu, or l4 for plans; default: the server's own",
    )


def _add_where(command: ArgumentParser) -> None:
    _add_device(command)
    command.add_argument(
        "--layout",
        choices=("channels_first", "channels_last"),
        default="channels_first",
        help="of inputs and outputs",
    )


def _add_output(command: ArgumentParser, text: str) -> None:
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=text)


def _add_network(command: ArgumentParser) -> None:
    """A network's file, and the shapes of its inputs, which the file may tell."""
    command.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_FILE)
    command.add_argument(
        "--input",
        type=SHAPE,
        action="append",
        metavar="[NAME=]SHAPE",
        help="such as 1x3x224x224; N is any batch; repeat it for several; default: the file's",
    )
    command.add_argument("--dtype", default="float32", help="of the inputs; default float32")


def _add_plan(commands: Commands) -> None:
    command = _command(
        commands, "plan", "What a network needs: shapes, counts, memory, time.", NETWORK_HELP
    )
    _add_network(command)
    _add_where(command)
    command.add_argument(
        "--max-batch", action="store_true", help="the largest batch that fits the device, and why"
    )
    command.add_argument(
        "--training", action="store_true", help="a step of training: forward, backward, update"
    )
    command.add_argument(
        "--optimizer",
        choices=("none", "sgd", "momentum", "rmsprop", "adam"),
        help="for --training; default adam",
    )
    command.add_argument(
        "--precision",
        choices=("strict", "tf32", "bfloat16", "float16"),
        default="strict",
        help="the least that kernels may have for float32; default strict",
    )
    _add_plan_views(command)


def _add_plan_views(command: ArgumentParser) -> None:
    """What is shown of a plan, and how."""
    command.add_argument("--explain", action="store_true", help="print each layer's formulas")
    command.add_argument(
        "--kernels",
        action="store_true",
        help="print the kernels of a GPU's library; with --explain all, and why not the others",
    )
    command.add_argument(
        "--format", choices=("table", *FORMATS), default="table", help="of what is printed"
    )
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw it: .svg, .png or .pdf")
    command.add_argument(
        "--against", type=Path, metavar="NETWORK", help="print what changes from this network"
    )


def _add_tiles(commands: Commands) -> None:
    command = _command(
        commands, "tiles", "How to run a network in tiles that fit a memory limit.", NETWORK_HELP
    )
    _add_network(command)
    command.add_argument(
        "--memory", required=True, metavar="BYTES", help="that a tile may need, such as 256MiB"
    )
    command.add_argument(
        "--axes", type=AXES, metavar="INT[,...]", help="that may be cut, such as 2,3; default: all"
    )
    command.add_argument("--layers", action="store_true", help="tell the ranges of all layers")


def _add_explain(commands: Commands) -> None:
    command = _command(commands, "explain", "One layer: formulas, other spellings, what helps.")
    command.add_argument(
        "layer_or_network",
        metavar="LAYER",
        help="as a framework writes it, such as 'nn.Conv2d(3,64,7)'; or, with --layer, a NETWORK",
    )
    command.add_argument("--layer", metavar="NAME", help="the layer of the network to explain")
    command.add_argument(
        "--input",
        type=SHAPE,
        action="append",
        metavar="[NAME=]SHAPE",
        help="as 1x3x224x224, channels first; N is any batch; default with --layer: the file's",
    )
    command.add_argument(
        "--dialect",
        help="pytorch, keras, onnx, caffe, darknet, matlab, jax, scipy, convserve; default: guess",
    )
    command.add_argument("--compare", action="store_true", help="list every runtime")
    command.add_argument(
        "--want", type=SIZES, metavar="SIZES", help="the result should have: 112, 56x112"
    )
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw it: .svg, .png or .pdf")
    command.add_argument("--dtype", default="float32", help="of the input; default float32")
    _add_device(command)


def _add_find(commands: Commands) -> None:
    command = _command(commands, "find", "The layers that make one size of another.")
    command.add_argument(
        "--input", type=SIZES, required=True, metavar="SIZES", help="spatial, such as 224, 224x112"
    )
    command.add_argument("--output", type=SIZES, required=True, metavar="SIZES", help="likewise")
    command.add_argument("--transposed", action="store_true", help="look for transposed layers")
    for name, default in (("kernel-size", 7), ("stride", 4), ("dilation", 1)):
        command.add_argument(
            f"--max-{name}", type=COUNT, default=default, metavar="INT", help=f"default {default}"
        )
    command.add_argument("--max-padding", type=int, default=3, metavar="INT", help="default 3")
    command.add_argument("--count", type=COUNT, default=20, metavar="INT", help="default 20")


def _add_run(commands: Commands) -> None:
    command = _command(commands, "run", "Run a network once.", NETWORK_HELP)
    command.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_FILE)
    command.add_argument(
        "--input",
        type=parse_file,
        action="append",
        required=True,
        metavar="[NAME=]FILE",
        help=".npy, .png or .jpg; repeat it for several inputs",
    )
    command.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help=".npz of <layer>.weight, <layer>.bias, ...; default: those of an .onnx file",
    )
    _add_output(command, ".npy, .npz, .png or .jpg; .npz for several outputs")
    _add_where(command)


def _add_conv(commands: Commands) -> None:
    command = _command(commands, "conv", "Convolve a tensor or a picture.")
    command.add_argument("input", type=Path, metavar="INPUT", help=".npy, .png or .jpg")
    weight = command.add_mutually_exclusive_group(required=True)
    weight.add_argument("--weight", type=Path, metavar="FILE", help=".npy (K, C/groups, *kernel)")
    weight.add_argument(
        "--kernel", choices=sorted(KERNELS), help="a filter for each channel, of the input's size"
    )
    command.add_argument("--bias", type=Path, metavar="FILE", help=".npy (K); with --weight")
    command.add_argument("--stride", type=INTS, default=1, metavar="INT[,...]")
    command.add_argument("--padding", type=PADDING, metavar="PADDING", help="1, 0:1,2:2, same, ...")
    command.add_argument("--dilation", type=INTS, default=1, metavar="INT[,...]")
    command.add_argument("--groups", type=int, metavar="INT", help="with --weight; default 1")
    command.add_argument("--padding-mode", choices=BORDER_MODES)
    command.add_argument("--activation", choices=ACTIVATIONS)
    _add_output(command, ".npy, .npz, .png or .jpg")
    _add_where(command)


def _add_convolve(commands: Commands) -> None:
    command = _command(commands, "convolve", "Convolve two signals of any rank, as SciPy does.")
    command.add_argument("a", type=Path, metavar="A", help=".npy")
    command.add_argument("v", type=Path, metavar="V", help=".npy, of A's rank")
    command.add_argument("--mode", choices=MODES, default="full")
    command.add_argument("--method", choices=METHODS, default="auto")
    _add_output(command, ".npy or .npz")


def _add_info(commands: Commands) -> None:
    _command(commands, "info", "A server's version, engines, limits and devices.")


def _add_devices(commands: Commands) -> None:
    _command(commands, "devices", "The devices that a call or a plan may name.")


def _add_bench(commands: Commands) -> None:
    command = _command(commands, "bench", "Measure a server: latency, its stages, throughput.")
    command.add_argument(
        "server", nargs="?", default=argparse.SUPPRESS, metavar="ADDRESS", help="as --server"
    )
    command.add_argument(
        "--shape", type=SIZES, default=(1, 3, 32, 32), help="of the input; default 1x3x32x32"
    )
    command.add_argument("--filters", type=COUNT, default=8, metavar="INT", help="default 8")
    command.add_argument(
        "--kernel-size", type=INTS, default=3, metavar="INT[,...]", help="default 3"
    )
    command.add_argument(
        "--calls", type=COUNT, default=1000, metavar="INT", help="of each part; default 1000"
    )
    command.add_argument(
        "--concurrency", type=COUNT, default=8, metavar="INT", help="threads; default 8"
    )
