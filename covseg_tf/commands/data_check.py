"""Look at a data set: report faults, draw samples."""

import dataclasses
import pathlib

from covseg_tf.commands.target import check_folder
from covseg_tf.options import argument, command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    path: str = argument("the data set's folder")
    out: pathlib.Path = option(
        "folder for the contact sheet", pathlib.Path("covseg-data-check")
    )
    limit: int | None = option("images per split and finding", None, metavar="N")
    force: bool = option("replace an earlier sheet in --out", False)


def run(options: Options) -> int:
    """Prints the report and writes the contact sheet; 1 if there is a fault."""
    import cv2

    from covseg_tf.data import check_data, draw_contact_sheet

    check_folder(options.out, options.force)
    report = check_data(options.path, options.limit)
    print(report.to_text())
    if report.images:
        groups = {split or "all": drawn for split, drawn in report.samples.items()}
        title = f"covseg data check: {report.root.resolve().name}"
        sheet = options.out / "contact_sheet.png"
        options.out.mkdir(parents=True, exist_ok=True)
        picture = draw_contact_sheet(groups, title)
        sheet.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        print(f"\nContact sheet: {sheet}")
    return 1 if report.faults else 0


main = command("covseg data check", __doc__, Options, run)
