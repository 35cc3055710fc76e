"""The part of a run's report that shows how the training went."""

from tfdeblur import files
from tfdeblur.evaluation import reports

SHOWN_ROWS = 20


def section(folder, rows):
    """The section on training of the report in a folder; writes its picture, curves.png.

    Args:
        folder: pathlib.Path.
        rows: of a run's metrics.csv, dicts of str; not empty.

    Returns:
        str, Markdown.
    """
    write_curves(folder / "curves.png", rows)
    return f"## Training\n\n![loss and PSNR by step](curves.png)\n\n{_table(rows)}"


def write_curves(path, rows):
    """Writes a picture of the loss and of the PSNR of held-out crops, by training step.

    Args:
        path: the file.
        rows: see `section`.
    """
    from matplotlib.figure import Figure  # not pyplot, which would look for a screen

    steps = [int(row["step"]) for row in rows]
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    loss, psnr = figure.subplots(1, 2)
    for axes, title, curves in (
        (loss, "loss", {"training": "loss", "held out": "val_loss"}),
        (psnr, "PSNR (dB)", {"held out": "val_psnr", "its blurry input": "val_psnr_blurry"}),
    ):
        for label, key in curves.items():
            axes.plot(steps, [float(row[key]) for row in rows], ".-", label=label)
        axes.set(title=title, xlabel="step")
        axes.legend()
        axes.grid(alpha=0.3)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def _table(rows):
    """All rows, or about `SHOWN_ROWS` of them in a long run, as Markdown."""
    columns = ["step", "loss", "psnr", "val_psnr_blurry", "val_psnr"]
    chosen = rows[:: -(-len(rows) // SHOWN_ROWS)]
    if rows[-1] not in chosen:
        chosen.append(rows[-1])
    cells = [[row["step"], *(f"{float(row[c]):.4g}" for c in columns[1:])] for row in chosen]
    return reports.table(columns, cells)
