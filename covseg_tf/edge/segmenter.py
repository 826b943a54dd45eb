"""Runs a bundle on images."""

import pathlib

import numpy as np

from covseg_tf.edge.bundle import Bundle, load_bundle
from covseg_tf.edge.guard import guard_flags
from covseg_tf.edge.prediction import Prediction
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.edge.quiet import quiet_stderr
from covseg_tf.edge.verify_model import verify_model
from covseg_tf.imaging import as_grey, has_few_greys, read_image, to_grey
from covseg_tf.imaging.correct.photograph import is_camera_picture, straighten

_DTYPES = (np.uint8, np.int8, np.float32)


class Segmenter:
    """Finds lung and infection in images with a TFLite bundle.

    Args:
        model: Name of a bundled model, path of a bundle's folder, or a
            `Bundle`. Defaults to `"xray"`.
        threads: Int >= 1, threads of the interpreter. Defaults to 1.
        guard: Flag, and leave unscored, images that are unlike what the model was
            made for (see `covseg_tf.edge.guard`). Defaults to `True`.

    Attributes:
        bundle: The verified `Bundle` in use.
        guard: Whether `predict` asks the guard; `run` never does.

    Raises:
        ValueError: If there is no such bundle, it is damaged, its model does
            not have the interface the bundle states, or `threads` is below 1.

    Example:

    >>> from covseg_tf.edge import Segmenter, draw_phantom
    >>> prediction = Segmenter("xray").predict(draw_phantom(seed=1).image)
    >>> prediction.lung.shape
    (512, 512)
    """

    def __init__(
        self,
        model: str | pathlib.Path | Bundle = "xray",
        threads: int = 1,
        guard: bool = True,
    ):
        if threads < 1:
            raise ValueError(f"`threads` must be at least 1. Received: {threads}")
        self.guard = guard
        self.bundle = model if isinstance(model, Bundle) else load_bundle(model)
        try:
            verify_model(self.bundle.model)
        except ValueError as error:
            raise ValueError(f"{self.bundle.folder}: {error}") from None
        # Imported here: listing a bundle or drawing a phantom needs no runtime.
        from ai_edge_litert.interpreter import Interpreter

        try:
            with quiet_stderr():
                interpreter = Interpreter(
                    model_content=self.bundle.model, num_threads=threads
                )
                interpreter.allocate_tensors()
                self._run = interpreter.get_signature_runner("serve")
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"{self.bundle.folder}: LiteRT cannot load the model: {error}"
            ) from None
        self._input = self._check_interface()

    @classmethod
    def from_bytes(
        cls, model: bytes, preprocessing: PreprocessingSpec, threads: int = 1
    ) -> "Segmenter":
        """Runs a TFLite file that is not in a bundle yet.

        Args:
            model: Bytes of the file, from `covseg_tf.deploy.export_tflite`.
            preprocessing: The spec it was exported with.
            threads: Int >= 1.

        Returns:
            A `Segmenter` without a guard: the file does not say what it is for.
        """
        bundle = Bundle(
            name="unnamed",
            folder=pathlib.Path("(in memory)"),
            preprocessing=preprocessing,
            labels=("lung", "infection"),
            threshold=0.5,
            metrics={},
            license="",
            export={},
            model=model,
        )
        return cls(bundle, threads, guard=False)

    def predict(
        self,
        image: np.ndarray | str | pathlib.Path,
        unreadable: np.ndarray | None = None,
    ) -> Prediction:
        """Segments one image.

        A camera's picture of a film, told by its colours, is straightened first; maps
        and masks come back as the film lies in the picture.

        Args:
            image: Path of an image file, or an array `(rows, columns)` or
                `(rows, columns, 1 | 3 | 4)` of 8 or 16 bit, colour in BGR
                order (see `PreprocessingSpec.apply`).
            unreadable: bool `(rows, columns)`, what to leave out of the numbers: of
                a photograph that was straightened before. Defaults to nothing.

        Returns:
            A `Prediction`.

        Raises:
            ValueError: If the file cannot be read or the array is no image.
        """
        if isinstance(image, (str, pathlib.Path)):
            image = read_image(image)
        image = np.asarray(image)
        # A window of CT is absolute: what is narrow in it is not to be widened.
        is_film = self.bundle.modality == "xray"
        grey = as_grey(image)[0] if is_film else to_grey(image)
        camera = is_film and is_camera_picture(image)
        photo = straighten(grey) if camera else None
        if photo is not None:
            grey, unreadable = photo.pixels, photo.glare
        spec = self.bundle.preprocessing
        pixels = spec.resize(grey)
        levels = self.run(pixels)
        if unreadable is not None:
            unreadable = spec.resize_mask(unreadable.astype(np.uint8)) > 0
        return Prediction(
            image_shape=grey.shape,
            lung_levels=levels["lung"],
            infection_levels=levels["infection"],
            threshold=self.bundle.threshold,
            guard_flags=self._guard_flags(grey, pixels),
            modality=self.bundle.modality,
            readers=self.bundle.readers,
            camera=camera,
            photograph=photo,
            unreadable=unreadable,
        )

    def _guard_flags(self, grey, pixels):
        if not self.guard:
            return ()
        modality = self.bundle.modality
        if modality == "xray" and has_few_greys(grey):
            return ("too_few_greys",)
        return guard_flags(pixels, modality)

    def run(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network alone, on pixels that are already prepared.

        Args:
            pixels: uint8 `(height, width)`, from `PreprocessingSpec.apply`.

        Returns:
            Dict from label to uint8 `(height, width)`: probability times 256.

        Raises:
            ValueError: If the pixels have another type or size.
        """
        spec = self.bundle.preprocessing
        if pixels.dtype != np.uint8 or pixels.shape != (spec.height, spec.width):
            raise ValueError(
                f"Expected uint8 pixels ({spec.height}, {spec.width}); use "
                "`bundle.preprocessing.apply(image)`. Received: "
                f"{pixels.dtype} {pixels.shape}"
            )
        image = self._to_input(pixels)[None, :, :, None]
        outputs = self._run(**{self._input: image})
        return {
            label: _to_levels(outputs[label][0, :, :, 0])
            for label in self.bundle.labels
        }

    def _to_input(self, pixels):
        if self._dtype == np.uint8:
            return pixels
        if self._dtype == np.int8:
            return (pixels ^ 0x80).view(np.int8)  # less 128
        return pixels * np.float32(self.bundle.preprocessing.scale)

    def _check_interface(self):
        spec = self.bundle.preprocessing
        shape = [1, spec.height, spec.width, 1]
        inputs, outputs = self._run.get_input_details(), self._run.get_output_details()
        tensors = [*inputs.values(), *(outputs.get(x) for x in self.bundle.labels)]
        fits = len(inputs) == 1 and {"lung", "infection"} <= set(self.bundle.labels)
        for tensor in tensors:
            fits = fits and tensor is not None and tensor["dtype"] in _DTYPES
            fits = fits and tensor["shape"].tolist() == shape
        scales = (spec.scale, 1 / 256, 1 / 256)
        fits = fits and all(map(_has_scale, tensors, scales))
        if not fits:
            raise ValueError(
                f"{self.bundle.folder}: the model must take and give uint8, int8 or "
                f"float32 {shape} with the outputs lung and infection; as integers, "
                "grey levels and probability times 256 (int8: less 128). Export it "
                "with covseg_tf.deploy.export_tflite."
            )
        name, tensor = next(iter(inputs.items()))
        self._dtype = np.dtype(tensor["dtype"])
        return name


def _has_scale(tensor, scale):
    if np.dtype(tensor["dtype"]).kind == "f":
        return True
    found, zero = tensor["quantization"]
    lowest = np.iinfo(tensor["dtype"]).min
    return zero == lowest and bool(np.isclose(found, scale, rtol=1e-3))


def _to_levels(values):
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.int8:
        return values.view(np.uint8) ^ 0x80
    return np.clip(np.rint(values * 256), 0, 255).astype(np.uint8)
