"""Published Caffe networks as prototxt, written from their papers and Caffe's own shapes."""

from __future__ import annotations

LENET = b"""
name: "LeNet"  # examples/mnist: 431,080 weights
layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: 64 dim: 1 dim: 28 dim: 28 } } }
layer {
  name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param { lr_mult: 1 } param { lr_mult: 2 }
  convolution_param { num_output: 20 kernel_size: 5 stride: 1 weight_filler { type: "xavier" } }
}
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2" convolution_param { num_output: 50 kernel_size: 5 } }
layer { name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1" inner_product_param { num_output: 500 } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" inner_product_param { num_output: 10 } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "prob" type: "Softmax" bottom: "ip2" top: "prob" }
"""  # noqa: E501


def _params(**fields: object) -> str:
    return " ".join(f"{key}: {value}" for key, value in fields.items())


def layer(name: str, kind: str, bottoms: str, top: str = "", **parameters: str) -> str:
    """One `layer { ... }`; `bottoms` is a list with spaces."""
    reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    inner = " ".join(f"{key} {{ {text} }}" for key, text in parameters.items())
    return f'layer {{ name: "{name}" type: "{kind}" {reads} top: "{top or name}" {inner} }}\n'


def conv(name: str, bottom: str, **fields: object) -> str:
    """A convolution and a ReLU in place."""
    relu = layer(f"relu_{name}", "ReLU", name, name)
    return layer(name, "Convolution", bottom, convolution_param=_params(**fields)) + relu


def pool(name: str, bottom: str, **fields: object) -> str:
    return layer(name, "Pooling", bottom, pooling_param=_params(**fields))


def dense(name: str, bottom: str, size: int) -> str:
    return layer(name, "InnerProduct", bottom, inner_product_param=f"num_output: {size}")


def declared(*dims: int) -> str:
    """The older way to say what a network reads."""
    return 'input: "data" ' + " ".join(f"input_dim: {dim}" for dim in dims) + "\n"


def alexnet() -> bytes:
    """Caffe's AlexNet, in groups: 60,965,224 weights."""
    three = {"pool": "MAX", "kernel_size": 3, "stride": 2}
    norm = {"lrn_param": "local_size: 5 alpha: 0.0001 beta: 0.75"}
    return "".join(
        [
            declared(10, 3, 227, 227),
            conv("conv1", "data", num_output=96, kernel_size=11, stride=4),
            layer("norm1", "LRN", "conv1", **norm),
            pool("pool1", "norm1", **three),
            conv("conv2", "pool1", num_output=256, kernel_size=5, pad=2, group=2),
            layer("norm2", "LRN", "conv2", **norm),
            pool("pool2", "norm2", **three),
            conv("conv3", "pool2", num_output=384, kernel_size=3, pad=1),
            conv("conv4", "conv3", num_output=384, kernel_size=3, pad=1, group=2),
            conv("conv5", "conv4", num_output=256, kernel_size=3, pad=1, group=2),
            pool("pool5", "conv5", **three),
            dense("fc6", "pool5", 4096),
            layer("drop6", "Dropout", "fc6", "fc6", dropout_param="dropout_ratio: 0.5"),
            dense("fc7", "fc6", 4096),
            dense("fc8", "fc7", 1000),
            layer("prob", "Softmax", "fc8"),
        ]
    ).encode()


def vgg16() -> bytes:
    """VGG-16 in the older form `layers { type: CONVOLUTION }`: 138,357,544 weights."""
    text, bottom = declared(1, 3, 224, 224), "data"
    for block, (count, size) in enumerate([(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)], 1):
        for number in range(1, count + 1):
            name = f"conv{block}_{number}"
            text += conv(name, bottom, num_output=size, kernel_size=3, pad=1)
            bottom = name
        text += pool(f"pool{block}", bottom, pool="MAX", kernel_size=2, stride=2)
        bottom = f"pool{block}"
    text += dense("fc6", bottom, 4096) + dense("fc7", "fc6", 4096) + dense("fc8", "fc7", 1000)
    for new, old in (("Convolution", "CONVOLUTION"), ("ReLU", "RELU"), ("Pooling", "POOLING"),
                     ("InnerProduct", "INNER_PRODUCT")):  # fmt: skip
        text = text.replace(f'type: "{new}"', f"type: {old}")
    return text.replace("layer {", "layers {").encode()


INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet() -> bytes:
    """GoogLeNet without its auxiliary classifiers: 6,998,552 weights."""
    three = {"pool": "MAX", "kernel_size": 3, "stride": 2}
    norm = {"lrn_param": "local_size: 5 alpha: 0.0001 beta: 0.75"}
    text = declared(10, 3, 224, 224)
    text += conv("conv1/7x7_s2", "data", num_output=64, kernel_size=7, stride=2, pad=3)
    text += pool("pool1", "conv1/7x7_s2", **three) + layer("norm1", "LRN", "pool1", **norm)
    text += conv("conv2/reduce", "norm1", num_output=64, kernel_size=1)
    text += conv("conv2", "conv2/reduce", num_output=192, kernel_size=3, pad=1)
    text += layer("norm2", "LRN", "conv2", **norm) + pool("pool2", "norm2", **three)
    bottom = "pool2"
    for name, sizes in INCEPTIONS.items():
        text += inception(f"inception_{name}", bottom, sizes)
        bottom = f"inception_{name}/output"
        if name in ("3b", "4e"):
            text += pool(f"pool_{name}", bottom, **three)
            bottom = f"pool_{name}"
    text += pool("pool5", bottom, pool="AVE", kernel_size=7, stride=1)
    text += layer("drop", "Dropout", "pool5", "pool5") + dense("classifier", "pool5", 1000)
    return (text + layer("prob", "Softmax", "classifier")).encode()


def inception(name: str, bottom: str, sizes: tuple[int, ...]) -> str:
    one, reduce3, three, reduce5, five, project = sizes
    return "".join(
        [
            conv(f"{name}/1x1", bottom, num_output=one, kernel_size=1),
            conv(f"{name}/3x3_reduce", bottom, num_output=reduce3, kernel_size=1),
            conv(f"{name}/3x3", f"{name}/3x3_reduce", num_output=three, kernel_size=3, pad=1),
            conv(f"{name}/5x5_reduce", bottom, num_output=reduce5, kernel_size=1),
            conv(f"{name}/5x5", f"{name}/5x5_reduce", num_output=five, kernel_size=5, pad=2),
            pool(f"{name}/pool", bottom, pool="MAX", kernel_size=3, stride=1, pad=1),
            conv(f"{name}/project", f"{name}/pool", num_output=project, kernel_size=1),
            layer(
                f"{name}/output",
                "Concat",
                f"{name}/1x1 {name}/3x3 {name}/5x5 {name}/project",
            ),
        ]
    )
