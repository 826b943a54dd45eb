"""What the tests need of the backend: TensorFlow, JAX or PyTorch."""

import keras
import numpy as np


def gradient(function, value):
    """Returns d function(x) / dx of a scalar function, as NumPy."""
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(keras.ops.convert_to_tensor(value)))
    if keras.backend.backend() == "torch":
        x = keras.ops.convert_to_tensor(value).requires_grad_(True)
        function(x).backward()
        return x.grad.numpy()
    import tensorflow as tf

    x = tf.Variable(value)
    with tf.GradientTape() as tape:
        result = function(x)
    return tape.gradient(result, x).numpy()


def weight_gradients(model, function, inputs):
    """Returns {path: gradient} of `function(outputs)` by the trainable weights.

    The model runs as in training. A weight that the result does not depend on
    is `None` or zeros, as the backend has it.
    """
    variables = model.trainable_variables
    if keras.backend.backend() == "jax":
        import jax

        def loss(trainable):
            outputs, _ = model.stateless_call(
                trainable,
                [v.value for v in model.non_trainable_variables],
                inputs,
                training=True,
            )
            return function(outputs)

        gradients = jax.grad(loss)([v.value for v in variables])
    elif keras.backend.backend() == "torch":
        model.zero_grad()
        function(model(inputs, training=True)).backward()
        gradients = [v.value.grad for v in variables]
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            result = function(model(inputs, training=True))
        gradients = tape.gradient(result, [v.value for v in variables])
    return {v.path: g for v, g in zip(variables, gradients, strict=True)}
