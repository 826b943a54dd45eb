"""What a NIfTI header says of how its volume lies, where it says it oddly."""

import numpy as np

# Sizes of a voxel by sform and by pixdim that are called the same.
_ALIKE = 0.05


def mend_header(header) -> None:
    """Puts right what a writer left out, so that what is left of a header is used.

    Args:
        header: A nibabel header, changed: a qform or sform that means nothing, an
            intercept that is no number, voxels that begin within the header.
    """
    first = header.sizeof_hdr + 4
    if 0 <= header["vox_offset"] < first:
        header["vox_offset"] = first
    if np.isfinite(header["scl_slope"]) and not np.isfinite(header["scl_inter"]):
        header["scl_inter"] = 0
    for name, get in (("sform", header.get_sform), ("qform", header.get_qform)):
        if header[f"{name}_code"] > 0 and turns_of(get) is None:
            header[f"{name}_code"] = 0


def turns_of(get) -> np.ndarray | None:
    """Returns axes and directions of an affine, or `None` if it means nothing.

    Args:
        get: Gives the affine, or raises whatever a header leads it to.
    """
    from nibabel.orientations import io_orientation

    try:
        affine = np.asarray(get(), np.float64)
        turns = io_orientation(affine) if np.isfinite(affine).all() else None
    except Exception:  # nibabel raises what NumPy raises
        return None
    return None if turns is None or np.isnan(turns).any() else turns


def is_placed_twice(header) -> bool:
    """Whether qform and sform turn a volume otherwise, or the sform sizes it so.

    Args:
        header: A nibabel header that `mend_header` has seen.
    """
    if not header["sform_code"] > 0:
        return False
    if header["qform_code"] > 0:
        by_sform, by_qform = turns_of(header.get_sform), turns_of(header.get_qform)
        if by_sform is None or by_qform is None or (by_sform != by_qform).any():
            return True
    sizes = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
    zooms = np.array(header.get_zooms()[:3], np.float64)
    return not np.allclose(sizes, zooms, rtol=_ALIKE, atol=0)
