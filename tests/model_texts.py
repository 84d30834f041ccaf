"""One convolution in every format of text: as Darknet, Caffe, Keras and convserve write it."""

CFG = """\
[net]
width=8
height=8
channels=3
[convolutional]
filters=4
size=3
pad=1
activation=linear
"""
PROTOTXT = """\
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
"""
KERAS = {
    "class_name": "Sequential",
    "config": {
        "name": "s",
        "layers": [
            {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 3]}},
            {"class_name": "Conv2D", "config": {
                "name": "conv", "filters": 4, "kernel_size": [3, 3], "padding": "same",
                "data_format": "channels_last", "strides": [1, 1], "dilation_rate": [1, 1],
                "groups": 1, "activation": "linear", "use_bias": True,
            }},
        ],
    },
    "keras_version": "3.15.1",
}  # fmt: skip
OWN = {"layers": [{"kind": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}]}
