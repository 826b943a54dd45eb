"""A small network learns the masks and a large network's maps of them."""

import pathlib

import keras
from keras import ops


def soft_target_loss(teacher, student, temperature: float = 1.0):
    """Returns the divergence of a student's maps from a teacher's, per image.

    Both maps are made softer: `p_T = sigmoid(logit(p) / T)`. The loss is the
    mean over pixels of `T^2 KL(teacher_T || student_T)`, the Kullback-Leibler
    divergence of the two outcomes, foreground or not: 0 where the maps agree.
    The factor keeps the gradients as large at any temperature.

    Source: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a
    Neural Network", there for classes.

    Args:
        teacher: Probabilities `(batch, height, width, channels)` in `[0, 1]`.
        student: Probabilities of the same shape.
        temperature: Float > 0; above 1 the pixels of which the teacher is
            sure count less. Defaults to 1.

    Returns:
        Float32 tensor `(batch,)`, not negative.

    Raises:
        ValueError: If `temperature` is not positive.

    Example:

    >>> sure = keras.ops.full((1, 8, 8, 1), 0.8)
    >>> even = keras.ops.full((1, 8, 8, 1), 0.5)
    >>> round(float(soft_target_loss(sure, even)[0]), 3)  # 0.8 ln 1.6 + 0.2 ln 0.4
    0.193
    """
    if temperature <= 0:
        raise ValueError(
            f"`temperature` must be positive. Received: temperature={temperature}"
        )
    teacher, student = _logits(teacher) / temperature, _logits(student) / temperature
    share = ops.sigmoid(teacher)
    # The cross-entropy of the student's logits, less that of the teacher's own.
    divergence = (
        ops.softplus(student) - ops.softplus(teacher) - share * (student - teacher)
    )
    return temperature**2 * ops.mean(divergence, axis=(1, 2, 3))


class Distiller(keras.Model):
    """Trains a student network on the masks and on a teacher's maps.

    Per flow, the loss is `(1 - alpha) * loss(mask, student) + alpha *
    soft_target_loss(teacher, student)`; `loss` is what `compile` is given, and
    sample weights weigh both terms. The teacher sees the same, augmented,
    images, in inference mode, and does not change. What is saved is the student
    alone. (`keras.distillation.Distiller` has no sample weights, and its
    softmax over channels is always 1 of one channel.)

    Source: Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a
    Neural Network".

    Args:
        student: A `DualFlowSegmenter`; trained in place. Its side outputs learn
            from the masks alone.
        teacher: A trained `DualFlowSegmenter` for the same images with at least
            the student's flows; frozen in place. Its side outputs are not
            used.
        alpha: Float in `[0, 1]`, share of the teacher's maps in the loss; 0 is
            training without a teacher. Defaults to 0.5.
        temperature: Float > 0, see `soft_target_loss`. Defaults to 1.
        **kwargs: Passed to `keras.Model`.

    Call arguments:
        inputs: Images, as the student takes them.

    Returns:
        The student's dict of probability maps.

    Raises:
        ValueError: If `alpha` or `temperature` is out of range, or the
            networks do not fit each other.

    Example:

    >>> from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
    >>> small = EdgeEncoder((64, 64, 1), 4, (4, 6, 8), (0, 0, 0))
    >>> student, teacher = DualFlowSegmenter(small), DualFlowSegmenter.from_preset(
    ...     "xray", (64, 64, 1)
    ... )
    >>> distiller = Distiller(student, teacher, alpha=0.3)
    >>> compile_segmenter(distiller, 1e-3)
    >>> len(distiller.trainable_variables) == len(student.trainable_variables)
    True
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        alpha: float = 0.5,
        temperature: float = 1.0,
        **kwargs,
    ):
        if not 0 <= alpha <= 1:
            raise ValueError(f"`alpha` must be in [0, 1]. Received: alpha={alpha}")
        if temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}"
            )
        _check_fit(student, teacher)
        super().__init__(**kwargs)
        self.student = student
        self.teacher = teacher
        self.alpha = alpha
        self.temperature = temperature
        self.output_names = list(student.output_names)
        self._flows = [name for name in self.output_names if "_side_" not in name]
        self._soft_loss = _SoftTargetLoss(temperature)
        # The teacher's maps alone, without the layers of its side outputs.
        self._teacher_maps = keras.Model(
            teacher.inputs[0],
            {flow: teacher.output[flow] for flow in self._flows},
        )
        teacher.trainable = False
        self._teacher_maps.trainable = False
        self.built = True

    def call(self, inputs, training=None):
        return self.student(inputs, training=training)

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, **kwargs):
        """As `DualFlowSegmenter.compile`, for the student's outputs.

        Args:
            optimizer: As in `keras.Model.compile`.
            loss: As in `DualFlowSegmenter.compile`.
            loss_weights: As in `DualFlowSegmenter.compile`.
            **kwargs: Passed to `keras.Model.compile`.
        """
        if self.student.side_outputs and loss is not None:
            loss, loss_weights = self.student.expand_losses(loss, loss_weights)
        super().compile(optimizer, loss=loss, loss_weights=loss_weights, **kwargs)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(
            x,
            self.student.masks_of(y),
            y_pred,
            self.student.per_output(sample_weight),
        )

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        hard = super().compute_loss(
            x,
            self.student.masks_of(y),
            y_pred,
            self.student.per_output(sample_weight),
            training,
        )
        if self.alpha == 0:
            return hard
        maps = self._teacher_maps(x, training=False)
        weights = sample_weight if isinstance(sample_weight, dict) else {}
        soft = sum(
            self._soft_loss(
                ops.stop_gradient(maps[flow]), y_pred[flow], weights.get(flow)
            )
            for flow in self._flows
        )
        return (1 - self.alpha) * hard + self.alpha * soft

    def save(self, filepath: str | pathlib.Path, **kwargs) -> None:
        """Saves the student, a plain `DualFlowSegmenter`.

        Args:
            filepath: A `.keras` file.
            **kwargs: Passed to `keras.Model.save`.
        """
        self.student.save(filepath, **kwargs)

    def load_weights(self, filepath: str | pathlib.Path, **kwargs) -> None:
        """Loads what `save` or `save_weights` wrote.

        Args:
            filepath: A `.keras` file of the student, or a `.weights.h5` file of
                the whole.
            **kwargs: Passed to `keras.Model.load_weights`.
        """
        if str(filepath).endswith(".keras"):
            self.student.load_weights(filepath, **kwargs)
        else:
            super().load_weights(filepath, **kwargs)

    def get_config(self):
        raise NotImplementedError(
            "A Distiller is not saved; `save` and `student` give the student."
        )


class _SoftTargetLoss(keras.losses.Loss):
    def __init__(self, temperature):
        super().__init__(name="soft_target_loss")
        self.temperature = temperature

    def call(self, y_true, y_pred):
        return soft_target_loss(y_true, y_pred, self.temperature)


def _logits(maps):
    maps = ops.cast(ops.convert_to_tensor(maps), "float32")
    epsilon = keras.config.epsilon()
    maps = ops.clip(maps, epsilon, 1 - epsilon)
    return ops.log(maps) - ops.log1p(-maps)


def _check_fit(student, teacher):
    flows = {name for name in student.output_names if "_side_" not in name}
    missing = flows - set(teacher.output_names)
    if missing:
        raise ValueError(
            f"The teacher lacks the student's outputs {sorted(missing)}. Received "
            f"teacher outputs: {teacher.output_names}"
        )
    shapes = [tuple(model.inputs[0].shape[1:]) for model in (student, teacher)]
    if any(
        None not in pair and pair[0] != pair[1] for pair in zip(*shapes, strict=True)
    ):
        raise ValueError(
            "Student and teacher must take the same images. Build the student "
            "for the teacher's input shape. Received input shapes (height, width, "
            f"channels): student {shapes[0]}, teacher {shapes[1]}"
        )
