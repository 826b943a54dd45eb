"""Base of the losses that give one number an image."""

import keras


class PerImageLoss(keras.losses.Loss):
    """A loss whose `call` returns `(batch,)`; weights are one number an image."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        shape = getattr(sample_weight, "shape", ())
        if len(shape) > 1 and any(size != 1 for size in shape[1:]):
            raise ValueError(
                f"{self.name} is one number an image, and so is its weight: give "
                "`sample_weight` of the shape (batch,). To weigh pixels use a loss by "
                "pixel, such as keras.losses.BinaryCrossentropy. Received a weight of "
                f"the shape {tuple(shape)}"
            )
        return super().__call__(y_true, y_pred, sample_weight)
