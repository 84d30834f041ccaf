"""torchvision's published counts, to the digit: parameters, and GMACs to their three decimals.

Its documentation heads the GMACs "GFLOPS": they are multiply-accumulates of convolutions and fully
connected layers. The models are on the meta device, where weights take no memory.
"""

from __future__ import annotations

import pytest
import torch
from convserve_client import from_torch

from tests.torch_networks import build, plan_own, torchvision

# What is no network of convolutions: transformers, detection, optical flow; and the quantized
# copies of networks that are here.
OUT = (
    *("maxvit_t", "mvit_v1_b", "mvit_v2_s", "swin3d_b", "swin3d_s", "swin3d_t"),
    *("swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t"),
    *("vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32"),
    *("fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn"),
    *("fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2", "fcos_resnet50_fpn"),
    *("keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"),
    *("retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2", "ssd300_vgg16"),
    *("ssdlite320_mobilenet_v3_large", "raft_large", "raft_small"),
    *("quantized_googlenet", "quantized_inception_v3", "quantized_mobilenet_v2"),
    *("quantized_mobilenet_v3_large", "quantized_resnet18", "quantized_resnet50"),
    *("quantized_resnext101_32x8d", "quantized_resnext101_64x4d"),
    *("quantized_shufflenet_v2_x0_5", "quantized_shufflenet_v2_x1_0"),
    *("quantized_shufflenet_v2_x1_5", "quantized_shufflenet_v2_x2_0"),
)
MODELS = [name for name in torchvision().models.list_models() if name not in OUT]
MODELS = [name for name in torchvision().models.list_models() if name not in OUT]
# Published parameters that the network does not have in eval mode: the auxiliary head, which is in
# Inception's number but not in GoogLeNet's. Neither one's GMACs have it.
NOT_RUN = {"inception_v3": 3_326_696}
FRAMES = 16  # that the GMACs of networks for videos are of
# One or two of each family are in every run of the tests; `make published` takes them all.
SMALL = (
    *("alexnet", "convnext_tiny", "deeplabv3_mobilenet_v3_large", "densenet121"),
    *("efficientnet_b0", "efficientnet_v2_s", "fcn_resnet50", "googlenet", "inception_v3"),
    *("lraspp_mobilenet_v3_large", "mc3_18", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small"),
    *("r2plus1d_18", "r3d_18", "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50"),
    *("resnext50_32x4d", "s3d", "shufflenet_v2_x0_5", "squeezenet1_0", "squeezenet1_1"),
    *("vgg11", "vgg16_bn", "wide_resnet50_2"),
)
SEGMENTATION_SIZES = [520, 520]  # nothing is cropped there


def input_shape(weights):
    """The shape that the published GMACs of these weights are of."""
    preset = weights.transforms()
    crop = getattr(preset, "crop_size", SEGMENTATION_SIZES)
    frames = [FRAMES] * (type(preset).__name__ == "VideoClassification")
    return (1, 3, *frames, crop[0], crop[-1])


@pytest.fixture
def on_meta(monkeypatch):
    """Models are made without values; but for RegNet's list of blocks, which is computed."""
    blocks = torchvision().models.regnet.BlockParams
    listed = blocks.from_init_params

    def list_blocks(*args, **options):
        with torch.device("cpu"):
            return listed(*args, **options)

    monkeypatch.setattr(blocks, "from_init_params", list_blocks)
    with torch.device("meta"):
        yield


@pytest.mark.parametrize(
    "name",
    [*SMALL, *(pytest.param(n, marks=pytest.mark.published) for n in MODELS if n not in SMALL)],
)
def test_counts(name, on_meta):
    module = build(name)
    all_weights = tuple(torchvision().models.get_model_weights(name))
    plans = {
        shape: plan_own(from_torch(module, shape)) for shape in set(map(input_shape, all_weights))
    }
    for weights in all_weights:
        plan = plans[input_shape(weights)]
        assert plan.parameter_count == weights.meta["num_params"] - NOT_RUN.get(name, 0)
        assert round(plan.mac_count / 1e9, 3) == weights.meta["_ops"]


def test_what_is_out_is_there():
    assert set(OUT) <= set(torchvision().models.list_models())
