"""The package's public classes with arguments, for the harness."""

from covseg_tf.layers import RegionFusionAttention
from covseg_tf.losses import (
    CombinedSegmentationLoss,
    PresenceLoss,
    SoftIoULoss,
    StructuralSimilarityLoss,
)
from covseg_tf.metrics import DiceScore, FMeasure, IoUScore, MeanAbsoluteError
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder, EfficientNetLiteEncoder

# Arguments other than the defaults, for each public class.
PARTS = [
    (
        RegionFusionAttention,
        {
            "dilation_rates": (1, 2),
            "gate": "linear",
            "separable": True,
            "share_equal_rates": True,
            "residual": True,
            "gate_bias": 1.5,
        },
    ),
    (
        CombinedSegmentationLoss,
        {"bce_weight": 2.0, "ssim_weight": 0.5, "iou_weight": 3.0, "smooth": 2.0},
    ),
    (PresenceLoss, {}),
    (SoftIoULoss, {"smooth": 2.0}),
    (StructuralSimilarityLoss, {"filter_size": 7, "sigma": 1.0}),
    (DiceScore, {"threshold": 0.3, "protocol": "lesions"}),
    (IoUScore, {"threshold": 0.3, "protocol": "lesions"}),
    (MeanAbsoluteError, {"protocol": "lesions"}),
    (FMeasure, {"mode": "mean", "beta_squared": 1.0, "protocol": "all_images"}),
]
NETWORKS = [
    (
        EdgeEncoder,
        {
            "input_shape": (32, 32, 1),
            "stem_filters": 4,
            "filters": (4, 6),
            "depths": (1, 0),
        },
    ),
    (EfficientNetLiteEncoder, {"input_shape": (32, 32, 1), "blocks": 5}),
    (
        DualFlowSegmenter,
        lambda: {
            "encoder": EdgeEncoder((32, 32, 1), 4, (4, 6), (0, 0)),
            "decoder_filters": (5,),
            "attention": "self",
            "attention_options": {"residual": True},
            "lung_supervision": False,
            "separable": True,
            "side_outputs": ("scales", "presence"),
            "global_context": True,
        },
    ),
]
