"""covseg_tf: COVID-19 infection segmentation in chest X-rays and CT slices."""

__version__ = "0.1.0"

__all__ = ["__version__"]
