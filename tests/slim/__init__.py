"""The networks of the published table of receptive fields, as the library of TF-Slim builds them.

Table: google-research/receptive_field, RECEPTIVE_FIELD_TABLE.md. A receptive field does not depend
on channels, so convolutions have one; layers of the end points have the table's names for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from convserve.networks import Network

from tests.slim.chains import alexnet_v2, mobilenet_v1, vgg
from tests.slim.inception_resnet_v2 import inception_resnet_v2
from tests.slim.inception_v2 import inception_v2
from tests.slim.inception_v3 import inception_v3
from tests.slim.inception_v4 import inception_v4
from tests.slim.resnet import resnet

SLIM: dict[str, Callable[[], Network]] = {
    "alexnet_v2": alexnet_v2,
    "vgg_a": partial(vgg, "vgg_a", (1, 1, 2, 2, 2)),
    "vgg_16": partial(vgg, "vgg_16", (2, 2, 3, 3, 3)),
    "inception_v2": partial(inception_v2, separable=True),
    "inception_v2-no-separable-conv": partial(inception_v2, separable=False),
    "inception_v3": inception_v3,
    "inception_v4": inception_v4,
    "inception_resnet_v2": partial(inception_resnet_v2, "valid"),
    "inception_resnet_v2-same": partial(inception_resnet_v2, "same"),
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v1_075": mobilenet_v1,  # with fewer channels
    "resnet_v1_50": partial(resnet, "resnet_v1_50", (3, 4, 6, 3)),
    "resnet_v1_101": partial(resnet, "resnet_v1_101", (3, 4, 23, 3)),
    "resnet_v1_152": partial(resnet, "resnet_v1_152", (3, 8, 36, 3)),
    "resnet_v1_200": partial(resnet, "resnet_v1_200", (3, 24, 36, 3)),
    "resnet_v2_50": partial(resnet, "resnet_v2_50", (3, 4, 6, 3)),
    "resnet_v2_101": partial(resnet, "resnet_v2_101", (3, 4, 23, 3)),
    "resnet_v2_152": partial(resnet, "resnet_v2_152", (3, 8, 36, 3)),
    "resnet_v2_200": partial(resnet, "resnet_v2_200", (3, 24, 36, 3)),
}
