"""What a recipe does before it builds its network."""

import warnings

import keras

from covseg_tf.training.options import RunOptions


def set_up(options: RunOptions) -> None:
    """Seeds the process, sets its precision, and keeps TensorFlow off JAX's GPU.

    A quick run on TensorFlow does its few steps without tracing one, which takes
    longer than all of them.

    Half precision means bfloat16, which needs no loss scaling: NVIDIA GPUs from
    Ampere on compute it, others and CPUs run it without a gain in speed.

    Args:
        options: `seed`, `mixed_precision`, `quick` and `jit_compile` are read.
    """
    keras.utils.set_random_seed(options.seed)
    policy = "mixed_bfloat16" if options.mixed_precision else "float32"
    keras.mixed_precision.set_global_policy(policy)
    backend = keras.backend.backend()
    if backend == "tensorflow" and options.quick and not options.jit_compile:
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        # The data's functions are traced all the same, as they should be.
        warnings.filterwarnings("ignore", "Even though the `tf.config", UserWarning)
    if backend == "jax":
        import tensorflow as tf

        # It only reads the data there, and would take the GPU's memory.
        tf.config.set_visible_devices([], "GPU")


def warmup_cosine(
    peak: float, steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns a linear warm-up to a peak, then half a cosine to 1 % of it.

    Source: Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with
    Warm Restarts", without restarts.

    Args:
        peak: Highest learning rate.
        steps: Steps of the training; the first fifth, at most 200, warm up.
    """
    warmup = min(200, steps // 5)
    return keras.optimizers.schedules.CosineDecay(
        peak / 10,
        decay_steps=max(1, steps - warmup),
        alpha=0.01,
        warmup_target=peak,
        warmup_steps=warmup,
    )


def float32_copy(model: keras.Model) -> keras.Model:
    """Returns a network that computes in float32, with the same weights.

    For export after training in half precision, which TFLite does not have. Sets
    the global precision to float32.

    Args:
        model: A `DualFlowSegmenter` whose encoder is built from its arguments,
            as `EdgeEncoder` is.
    """
    keras.mixed_precision.set_global_policy("float32")
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy
