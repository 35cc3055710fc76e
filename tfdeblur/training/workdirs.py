"""The folder of a training run: what may be resumed, what may be deleted, what is left alone."""

import json
import pathlib
import shutil

from tfdeblur.errors import InputError
from tfdeblur.evaluation import reports
from tfdeblur.training.checkpoints import INCOMPLETE, replacing

RECIPE = "recipe.json"  # marks the folder as a run
# Hidden files and folders that a kill left half written: `checkpoints.replacing`,
# `export.replacing_folder`.
UNFINISHED = (f"{INCOMPLETE}*", ".*.tmp")


def check(workdir, resume=False, overwrite=False):
    """Raises an InputError where `workdir` holds a run that may neither be resumed nor deleted.

    Likewise where no folder can be made there, or where other files are that --overwrite would
    delete.
    """
    workdir = pathlib.Path(workdir)
    try:
        existed = workdir.exists()
        workdir.mkdir(parents=True, exist_ok=True)
        files = [f for f in workdir.iterdir() if not f.name.startswith(INCOMPLETE)]
        if not existed:
            workdir.rmdir()  # the rest of the input may be wrong
    except OSError as error:
        raise InputError(
            f"--workdir={workdir} cannot be made a folder ({error.strerror}): name another."
        ) from error
    if files and not (workdir / RECIPE).exists():
        raise InputError(f"--workdir={workdir} holds files that are no run: name another folder.")
    if holds_run(workdir) and not (resume or overwrite):
        raise InputError(
            f"--workdir={workdir} holds a run already: --resume goes on with it, --overwrite "
            "deletes it, or choose another --workdir."
        )


def holds_run(workdir):
    """Whether there is a recipe, and a checkpoint or a network to go on from."""
    made = (*workdir.glob("checkpoints/step_*.npz"), *workdir.glob("model.keras"))
    return (workdir / RECIPE).exists() and bool(made)


def prepare(workdir, settings, overwrite):
    """Makes the folder ready for a run, and writes what the run is into `RECIPE`.

    A run that it holds is kept, to be resumed, unless `overwrite` is true; what a kill left of one
    without a checkpoint is deleted. To be asked after `check`.

    Args:
        settings: dict; "recipe" is that of `recipes.Recipe`, the others may be any JSON.

    Raises:
        InputError: the run that it holds has other settings.
    """
    marker = workdir / RECIPE
    if holds_run(workdir) and not overwrite:
        _check_same_run(json.loads(marker.read_text()), settings, workdir)
    else:
        delete(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    for pattern in UNFINISHED:
        for path in list(workdir.rglob(pattern)):
            _delete(path)
    with replacing(marker) as temporary:
        text = json.dumps({**settings, "versions": reports.versions()}, indent=2)
        temporary.write_text(text + "\n")


def delete(workdir):
    """Deletes a run, its recipe last: a folder without one is no run, and is not touched again."""
    for path in sorted(workdir.glob("*"), key=lambda path: path.name == RECIPE):
        _delete(path)
    shutil.rmtree(workdir, ignore_errors=True)


def _delete(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _check_same_run(before, now, workdir):
    now = json.loads(json.dumps(now))  # tuples are lists there
    if before["recipe"]["name"] != now["recipe"]["name"]:
        raise InputError(
            f"--workdir={workdir} holds a run of --recipe={before['recipe']['name']}, which "
            f"--recipe={now['recipe']['name']} cannot go on with: choose another --workdir, or "
            "--overwrite."
        )
    differences = [
        f"{key} ({before['recipe'].get(key)!r}, now {value!r})"
        for key, value in now["recipe"].items()
        if before["recipe"].get(key) != value
    ] + [
        f"{key} ({before.get(key)!r}, now {value!r})"
        for key, value in now.items()
        if key != "recipe" and before.get(key) != value
    ]
    if differences:
        raise InputError(
            f"--workdir={workdir} holds another run, which --resume cannot go on with; "
            f"different are: {', '.join(differences)}. Choose another --workdir, or --overwrite."
        )
