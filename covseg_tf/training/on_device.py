"""Training with the data in the accelerator's memory: no input to wait for (JAX)."""

import concurrent.futures
import functools
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from covseg_tf.data.augmentation import SeededPipeline, chest_augmentation
from covseg_tf.losses import CombinedSegmentationLoss
from covseg_tf.training.setup import warmup_cosine

FLOWS = ("lung", "infection")


class DeviceTrainer:
    """Trains one network on uint8 images that lie on the device, on the JAX backend.

    Gathering, augmentation (`chest_augmentation`), forward pass, loss and AdamW all run
    on the device; the host sends indices and seeds ahead. The step is compiled in the
    background, so that several networks compile at once while another trains.

    Args:
        model: A `DualFlowSegmenter` of static input shape. Its weights are where every
            `fit` starts; they change in `put_weights` alone.
        data: As for `fit`; here its columns alone matter.
        batch_size: Images per step. Defaults to 32.
        weight_decay: Decoupled weight decay. Defaults to 0.01.
        extra_loss: Function `(maps, batch)` to a scalar that is added to the loss;
            `None` (default) adds nothing.
        compiler: Threads that compile; `None` (default) compiles here and now.

    Attributes:
        flops: Floating-point operations of one step, a multiplication and an addition
            being two, as XLA counts them before it optimizes.

    Raises:
        ValueError: If the backend is not JAX.
    """

    def __init__(
        self,
        model: keras.Model,
        data: Mapping,
        batch_size: int = 32,
        weight_decay: float = 0.01,
        extra_loss: Callable | None = None,
        compiler: concurrent.futures.Executor | None = None,
    ):
        if keras.backend.backend() != "jax":
            raise ValueError(
                "DeviceTrainer needs the JAX backend: set KERAS_BACKEND=jax. Received: "
                f"{keras.backend.backend()}"
            )
        import jax

        self.model, self.batch_size, self._extra_loss = model, batch_size, extra_loss
        self._optimizer = keras.optimizers.AdamW(1e-3, weight_decay=weight_decay)
        self._optimizer.build(model.trainable_variables)
        rate = self._optimizer.learning_rate
        self._rate = [v is rate for v in self._optimizer.variables].index(True)
        self._losses, self._shares = model.expand_losses(CombinedSegmentationLoss())
        self._take = _compiled_gather()
        state = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), self.start()
        )
        batch = jax.eval_shape(
            self._take,
            data,
            jax.ShapeDtypeStruct((batch_size,), "int32"),
            jax.ShapeDtypeStruct((2,), "uint32"),
        )
        step = jax.jit(self._step, donate_argnums=0).lower(
            state, batch, jax.ShapeDtypeStruct((), "float32")
        )
        maps = jax.jit(self._maps).lower(state[:2], batch["images"])
        self.flops = float((step.cost_analysis() or {}).get("flops", np.nan))
        compile_all = (step.compile, maps.compile)
        self._compiled: list[Any]
        if compiler is None:
            self._compiled = [_Done(compile()) for compile in compile_all]
        else:
            self._compiled = [compiler.submit(compile) for compile in compile_all]

    def start(self):
        """Returns the state of a training that has not begun.

        Returns:
            Tuple of three lists of arrays: trainable weights, other weights, and what
            the optimizer keeps.
        """
        import jax.numpy as jnp

        # Copies: a step takes its state's memory for the next.
        return tuple(
            [jnp.array(v.value, copy=True) for v in variables]
            for variables in (
                self.model.trainable_variables,
                self.model.non_trainable_variables,
                self._optimizer.variables,
            )
        )

    def wait(self) -> None:
        """Waits until the step is compiled."""
        for compiled in self._compiled:
            compiled.result()

    def time_step(self, data: Mapping, steps: int = 8) -> tuple[float, float]:
        """Times the compiled step, on a copy of the weights.

        Args:
            data: As for `fit`.
            steps: How many to time, after one to warm up. Defaults to 8.

        Returns:
            Seconds of a whole step, and of its gathering and augmentation alone.
        """
        import jax

        state, step = self.start(), self._compiled[0].result()
        index = np.arange(self.batch_size) % len(data["images"])
        seconds, batch = [], None
        for both in (False, True):
            for number in range(steps + 1):
                if number == 1:
                    jax.block_until_ready((state, batch))
                    began = time.perf_counter()
                batch = self._take(data, index, np.array([0, number], "uint32"))
                if both:
                    state, _ = step(state, batch, np.float32(0))
            jax.block_until_ready((state, batch))
            seconds.append((time.perf_counter() - began) / steps)
        return seconds[1], seconds[0]

    def fit(
        self,
        data: Mapping,
        steps: int,
        learning_rate: float,
        seed: int = 0,
        backup: str | pathlib.Path | None = None,
        backup_seconds: float = 60.0,
        on_epoch: Callable | None = None,
    ):
        """Trains from the model's weights, or from a backup.

        Args:
            data: Dict of device arrays over the training images: `images` uint8
                `(n, height, width)`, `masks` uint8 `(n, height, width, 2)`, lung and
                infection as `[0, 255]`, `weights` float32 `(n, 2)`, what an image
                counts in either flow's loss, and what `extra_loss` reads.
            steps: Steps of the whole training.
            learning_rate: Peak of `warmup_cosine`.
            seed: A batch is a function of it and of the number of the step.
            backup: `.npz` file, written about every `backup_seconds` and read when it
                is there; `None` (default) keeps none.
            backup_seconds: Seconds from one backup to the next, at an epoch's end.
            on_epoch: Called with a dict of `epoch`, `step`, `loss`, `learning_rate` and
                `seconds` and with the state after each epoch.

        Returns:
            The state after the last step.

        Raises:
            ValueError: If there are fewer images than one batch.
        """
        import jax

        count = len(data["images"])
        per_epoch = count // self.batch_size
        if per_epoch < 1:
            raise ValueError(
                f"Training needs one batch of {self.batch_size} images; lower the "
                f"batch size. Received: {count} images"
            )
        state, first = self._resume(backup)
        schedule = warmup_cosine(learning_rate, steps)
        rates = np.asarray(jax.vmap(schedule)(np.arange(steps)), "float32")
        step, saved = self._compiled[0].result(), time.perf_counter()
        for epoch in range(first // per_epoch, -(-steps // per_epoch)):
            rng, began, losses = np.random.default_rng([seed, epoch]), time.time(), []
            order = rng.permutation(count).astype("int32")
            last = min(per_epoch, steps - epoch * per_epoch)
            for number in range(last):
                index = order[number * self.batch_size :][: self.batch_size]
                at = epoch * per_epoch + number
                batch = self._take(data, index, np.array([seed, at], "uint32"))
                state, loss = step(state, batch, rates[at])
                losses.append(loss)
            log = {"epoch": epoch, "step": at + 1, "loss": float(np.mean(losses))}
            log |= {"learning_rate": float(rates[at]), "seconds": time.time() - began}
            if backup is not None and time.perf_counter() - saved >= backup_seconds:
                _save(backup, state, at + 1)
                saved = time.perf_counter()
            if on_epoch is not None:
                on_epoch(log, state)
        return state

    def predict(self, state, images) -> dict[str, np.ndarray]:
        """Returns the maps of images, batch by batch.

        Args:
            state: Of `start` or `fit`.
            images: uint8 `(n, height, width)`.

        Returns:
            Dict from flow to float16 NumPy array `(n, height, width)`.
        """
        maps, found = self._compiled[1].result(), []
        for start in range(0, len(images), self.batch_size):
            part = np.asarray(images[start : start + self.batch_size])
            full = np.zeros((self.batch_size, *part.shape[1:], 1), "float32")
            full[: len(part), ..., 0] = part / np.float32(255)
            found.append((maps(state[:2], full), len(part)))
        return {
            flow: np.concatenate([np.asarray(of[flow])[:n] for of, n in found])
            for flow in found[0][0]
        }

    def put_weights(self, state) -> None:
        """Gives the model the weights of a state."""
        for variables, values in zip(
            (self.model.trainable_variables, self.model.non_trainable_variables),
            state[:2],
            strict=True,
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def _step(self, state, batch, rate):
        import jax

        trainable, fixed, kept = state

        def objective(trainable):
            maps, after = self.model.stateless_call(
                trainable, fixed, batch["images"], training=True
            )
            masks = self.model.per_output(batch["masks"])
            weights = self.model.per_output(batch["weights"])
            loss = sum(
                self._shares[name]
                * self._losses[name](masks[name], maps[name], weights[name])
                for name in self.model.output_names
            )
            if self._extra_loss is not None:
                loss += self._extra_loss(maps, batch)
            return loss, after

        (loss, fixed), gradients = jax.value_and_grad(objective, has_aux=True)(
            trainable
        )
        kept = [rate if i == self._rate else v for i, v in enumerate(kept)]
        trainable, kept = self._optimizer.stateless_apply(kept, gradients, trainable)
        return (trainable, fixed, kept), loss

    def _maps(self, weights, images):
        maps, _ = self.model.stateless_call(*weights, images, training=False)
        return {f: maps[f][..., 0].astype("float16") for f in FLOWS if f in maps}

    def _resume(self, backup):
        state = self.start()
        if backup is None or not pathlib.Path(backup).is_file():
            return state, 0
        import jax

        with np.load(backup) as file:
            leaves = [file[str(i)] for i in range(len(file.files) - 1)]
            return jax.tree.unflatten(jax.tree.structure(state), leaves), int(
                file["step"]
            )


def matmul_tflops(side: int = 8192, repeats: int = 10) -> float:
    """Measures what the device's bfloat16 matrix product reaches, on random numbers.

    Args:
        side: Of the two square matrices. Defaults to 8192.
        repeats: Products that are timed, after three to warm up. Defaults to 10.

    Returns:
        10^12 operations a second, a multiplication and an addition being two.
    """
    import jax

    left, right = (
        jax.random.normal(jax.random.key(i), (side, side), "bfloat16") for i in (0, 1)
    )
    product = jax.jit(jax.numpy.matmul)
    for number in range(repeats + 3):
        if number == 3:
            began = time.perf_counter()
        last = product(left, right)
        if number in (2, repeats + 2):
            last.block_until_ready()
    return repeats * 2 * side**3 / (time.perf_counter() - began) / 1e12


@functools.cache
def _compiled_gather():
    """Gathers and augments a batch; one for all trainers, since compiling costs."""
    import jax

    augment = SeededPipeline(chest_augmentation())

    def gather(data, index, seed):
        batch = {name: values[index] for name, values in data.items()}
        moved = augment(
            {
                "images": batch.pop("images")[..., None] / np.float32(255),
                "segmentation_masks": batch.pop("masks") / np.float32(255),
            },
            seed,
        )
        masks, weights = moved["segmentation_masks"], batch["weights"]
        return batch | {
            "images": moved["images"],
            "masks": {flow: masks[..., i : i + 1] for i, flow in enumerate(FLOWS)},
            "weights": {flow: weights[:, i] for i, flow in enumerate(FLOWS)},
        }

    return jax.jit(gather)


class _Done:
    """A compiled function in the place of a future."""

    def __init__(self, value):
        self._value = value

    def result(self):
        return self._value


def _save(path, state, step):
    import jax

    path = pathlib.Path(path)
    leaves = {str(i): np.asarray(x) for i, x in enumerate(jax.tree.leaves(state))}
    part = path.with_suffix(".part.npz")  # a kill while writing leaves the last one
    np.savez(part, step=step, **leaves)
    part.replace(path)
