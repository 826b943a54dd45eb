"""The peers of the frontier, built from the libraries that publish them.

Each takes one grey channel in [0, 1], `(side, side, 1)`, and gives the
probability maps `lung` and `infection`, `(side, side, 1)`. Whatever
normalisation a peer wants is inside.
"""

import keras

from covseg_tf.models.efficientnet_lite_encoder import EfficientNetLiteEncoder

# Of a BatchNormalization. keras.applications has 0.999 and keras-hub's DeepLabV3+
# 0.99: in a few thousand steps, or a few hundred, such averages never arrive.
_MOMENTUM = 0.9
# The tutorial's decoder, coarse to fine.
_UP_FILTERS = (512, 256, 128, 64)


def segformer_b0(side: int) -> keras.Model:
    """Returns keras-hub's SegFormer with the encoder MiT-B0.

    Source: Xie et al. 2021, "SegFormer: Simple and Efficient Design for Semantic
    Segmentation with Transformers"; the arguments are those of keras-hub's preset
    `segformer_b0_ade20k_512`. Its layer normalizations have Keras' own epsilon,
    1e-3, for the 1e-6 of the library: as an 8-bit constant that has a scale of
    4e-9, which `export_tflite` refuses.
    """
    import keras_hub

    encoder = keras_hub.models.MiTBackbone(
        layerwise_depths=[2, 2, 2, 2],
        num_layers=4,
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        image_shape=(side, side, 3),
        hidden_dims=[32, 64, 160, 256],
    )
    backbone = keras_hub.models.SegFormerBackbone(
        image_encoder=encoder, projection_filters=256
    )
    network = keras_hub.models.SegFormerImageSegmenter(backbone, num_classes=2)
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.LayerNormalization):
            layer.epsilon = 1e-3
    image, colour = _grey_image(side, scale=2.0, offset=-1.0)
    return _segmenter(image, network(colour), "segformer_b0")


def deeplab_v3_plus(side: int) -> keras.Model:
    """Returns keras-hub's DeepLabV3+ with a ResNet-18, its smallest pyramid.

    Its classifier stands before the last bilinear upsampling in place of after
    it. A 1x1 convolution without bias commutes with an upsampling: the same maps
    for 1/16 of the classifier, and without a tensor of 256 channels at image size.

    Source: Chen et al. 2018, "Encoder-Decoder with Atrous Separable Convolution
    for Semantic Image Segmentation"; decoder arguments of keras-hub's preset
    `deeplab_v3_plus_resnet50_pascalvoc`, encoder arguments of
    `resnet_18_imagenet`.
    """
    import keras_hub

    encoder = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(side, side, 3),
    )
    backbone = keras_hub.models.DeepLabV3Backbone(
        image_encoder=encoder,
        projection_filters=48,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[6, 12, 18],
        image_shape=(side, side, 3),
    )
    features = keras.Model(
        backbone.input,
        backbone.get_layer("segmentation_head_relu").output,
        name="deeplab_v3_plus_features",
    )
    image, colour = _grey_image(side, scale=2.0, offset=-1.0)
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="classifier")(features(colour))
    x = keras.layers.UpSampling2D(4, interpolation="bilinear", name="classifier_up")(x)
    return _segmenter(image, x, "deeplab_v3_plus")


def unet_mobilenet_v2(side: int) -> keras.Model:
    """Returns the U-Net of TensorFlow's segmentation tutorial.

    Source: tensorflow.org/tutorials/images/segmentation, with the last layer of
    two maps; Sandler et al. 2018, "MobileNetV2".
    """
    network = keras.applications.MobileNetV2(
        input_shape=(side, side, 3), include_top=False, weights=None
    )
    blocks = [f"block_{index}_expand_relu" for index in (1, 3, 6, 13)]
    levels = [network.get_layer(name).output for name in blocks]
    levels.append(network.get_layer("block_16_project").output)
    encoder = keras.Model(network.input, levels, name="mobilenet_v2")
    image, colour = _grey_image(side, scale=2.0, offset=-1.0)
    return _unet(image, encoder(colour), "unet_mobilenet_v2")


def unet_mobilenet_v3_small(side: int) -> keras.Model:
    """Returns the tutorial's U-Net over MobileNetV3-small.

    Skips are, as in the tutorial, what an inverted residual block expands to
    before it strides; of the stem, which has no such block after it, its output.

    Source: Howard et al. 2019, "Searching for MobileNetV3".
    """
    network = keras.applications.MobileNetV3Small(
        input_shape=(side, side, 3),
        include_top=False,
        weights=None,
        include_preprocessing=False,
    )
    levels = []
    for norm in ("conv_bn", *(f"expanded_conv_{i}_expand_bn" for i in (1, 3, 8))):
        # Activations are numbered by what else was built: take what follows.
        index = network.layers.index(network.get_layer(norm))
        levels.append(network.layers[index + 1].output)
    levels.append(network.get_layer("expanded_conv_10_add").output)
    encoder = keras.Model(network.input, levels, name="mobilenet_v3_small")
    image, colour = _grey_image(side, scale=2.0, offset=-1.0)
    return _unet(image, encoder(colour), "unet_mobilenet_v3_small")


def unet_efficientnet_lite0(side: int, imagenet=None) -> keras.Model:
    """Returns the tutorial's U-Net over EfficientNet-Lite0.

    Args:
        side: Pixels.
        imagenet: State of the published ImageNet weights, as
            `EfficientNetLiteEncoder.load_imagenet` takes it, or `None`.
    """
    network = EfficientNetLiteEncoder((side, side, 1))
    if imagenet is not None:
        network.load_imagenet(imagenet)
    blocks = [f"block{index}_expand_relu" for index in (1, 3, 5, 11)]
    levels = [network.get_layer(name).output for name in blocks]
    levels.append(network.get_layer("block15_project_norm").output)
    encoder = keras.Model(network.input, levels, name="efficientnet_lite0")
    image = keras.Input((side, side, 1), name="image")
    return _unet(image, encoder(image), "unet_efficientnet_lite0")


def miniseg_sized(side: int) -> keras.Model:
    """Returns a network of MiniSeg's size and kind; not the authors' network.

    Widths and the dilated pyramid with its gates are the paper's; here is one
    path instead of two, ReLU for PReLU, full 1x1 convolutions for grouped ones,
    and as many blocks as give the paper's 83 thousand parameters.

    Source: Qiu et al. 2021, "MiniSeg: An Extremely Minimum Network for Efficient
    COVID-19 Segmentation".
    """
    image = x = keras.Input((side, side, 1), name="image")
    skips = []
    for level, (filters, blocks) in enumerate(((8, 2), (24, 4), (32, 9), (64, 8))):
        x = _shrink(x, filters, f"level{level}_down")
        for block in range(blocks):
            name = f"level{level}_block{block}"
            y = _pyramid(x, filters, name) if level else _conv(x, filters, name, 3)
            x = keras.layers.Add(name=f"{name}_add")([x, y])
        skips.append(x)
    for level in (2, 1, 0):
        skip, name = skips[level], f"up{level}"
        filters = skip.shape[-1]
        x = _conv(x, filters, name)
        x = keras.layers.UpSampling2D(2, interpolation="bilinear", name=f"{name}_2")(x)
        x = _dilated(x, (1, 2), name)[-1]
        skip = _conv(skip, filters, f"{name}_skip", relu=False)
        x = keras.layers.Add(name=f"{name}_add")([_norm(x, name), skip])
        x = keras.layers.ReLU(name=f"{name}_relu_2")(x)
    x = keras.layers.Conv2D(2, 1, name="classifier")(x)
    x = keras.layers.UpSampling2D(2, interpolation="bilinear", name="classifier_up")(x)
    return _segmenter(image, x, "miniseg_sized")


def _grey_image(side, scale, offset):
    """The input, and what an encoder of three colours is given for it."""
    image = keras.Input((side, side, 1), name="image")
    # Not to drop anything: a layer that is not told whether it trains takes the
    # answer of the one before, and keras.layers.Resizing, which both keras-hub
    # networks have inside, says yes. This one says no first.
    x = keras.layers.Dropout(0.0, name="inference_unless_told")(image)
    x = keras.layers.Rescaling(scale, offset, name="value_range")(x)
    return image, keras.layers.Concatenate(name="grey_to_rgb")([x, x, x])


def _unet(image, levels, name):
    *skips, x = levels
    for filters, skip in zip(_UP_FILTERS, reversed(skips), strict=True):
        up = f"up_{filters}"
        x = _transposed(filters, use_bias=False, name=f"{up}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"{up}_norm")(x)
        x = keras.layers.ReLU(name=f"{up}_relu")(x)
        x = keras.layers.Concatenate(name=f"{up}_skip")([x, skip])
    return _segmenter(image, _transposed(2, name="classifier")(x), name)


def _transposed(filters, **kwargs):
    return keras.layers.Conv2DTranspose(
        filters,
        3,
        strides=2,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
        **kwargs,
    )


def _segmenter(image, logits, name):
    maps = {
        flow: keras.layers.Activation("sigmoid", name=flow)(logits[..., i : i + 1])
        for i, flow in enumerate(("lung", "infection"))
    }
    model = keras.Model(image, maps, name=name)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.momentum > 0.98:
            layer.momentum = _MOMENTUM
    return model


def _norm(x, name):
    return keras.layers.BatchNormalization(name=f"{name}_norm")(x)


def _conv(x, filters, name, kernel_size=1, relu=True):
    x = keras.layers.Conv2D(
        filters, kernel_size, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_conv_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _shrink(x, filters, name):
    x = keras.layers.SeparableConv2D(
        filters, 5, strides=2, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return keras.layers.ReLU(name=f"{name}_relu")(_norm(x, name))


def _dilated(x, rates, name):
    """Depthwise convolutions of growing reach, each added to those before it."""
    sums = []
    for rate in rates:
        y = keras.layers.DepthwiseConv2D(
            3,
            padding="same",
            dilation_rate=rate,
            use_bias=False,
            name=f"{name}_dilated{rate}",
        )(x)
        if sums:
            y = keras.layers.Add(name=f"{name}_sum{rate}")([sums[-1], y])
        sums.append(y)
    return sums


def _pyramid(x, filters, name):
    """MiniSeg's attentive hierarchical spatial pyramid, at a quarter of the width."""
    x = keras.layers.Conv2D(filters // 4, 1, use_bias=False, name=f"{name}_reduce")(x)
    sums = _dilated(x, (1, 2, 4, 8), name)
    gates = keras.layers.Conv2D(4, 1, activation="sigmoid", name=f"{name}_gates")(
        keras.layers.Concatenate(name=f"{name}_all")(sums)
    )
    gated = [
        keras.layers.Add(name=f"{name}_gated{i}")([y, y * gates[..., i : i + 1]])
        for i, y in enumerate(sums)
    ]
    x = keras.layers.Concatenate(name=f"{name}_gated")(gated)
    return _conv(x, filters, f"{name}_fuse")
