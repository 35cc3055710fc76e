"""The folder of a training run: what may be resumed, what may be deleted, what is left alone."""

import contextlib
import json
import os
import pathlib
import re
import sys

from tfdeblur import files
from tfdeblur.errors import InputError, say
from tfdeblur.evaluation import reports
from tfdeblur.export import SAVED_MODEL

RECIPE = "recipe.json"  # what the run is
SAVED = "saved_model"
# What each run writes besides: checkpoints, events of TensorBoard, and the folder `SAVED`.
FILES = (
    RECIPE,
    "metrics.csv",
    "model.keras",
    "best.keras",
    "report.md",
    "report.html",
    "comparison.png",
    "curves.png",
    "scores.csv",
    "metrics.json",
)
CHECKPOINT = r"step_(\d{9})\.npz"
_NAMES = "|".join(map(re.escape, (*FILES, files.MARKER)))
RUN = files.Kind(
    "run",
    (
        *map(re.escape, FILES),
        f"checkpoints/{CHECKPOINT}",
        r"tensorboard/events\.out\.tfevents\.[^/]+",
        "checkpoints/",
        "tensorboard/",
    ),
    (
        files.incomplete(f"(?:{_NAMES})"),
        r"\.[0-9a-f]{32}\.tmp",  # of pictures, by earlier versions
        f"checkpoints/{files.incomplete(CHECKPOINT)}",
        *(
            f"{files.incomplete(SAVED)}/(?:{pattern})"
            for pattern in (
                *SAVED_MODEL.patterns,
                *SAVED_MODEL.leftovers,
                f"(?:{files.incomplete('')})?{re.escape(files.MARKER)}",
                "",
            )
        ),
    ),
)


def check(workdir, resume=False, overwrite=False):
    """Raises an InputError where `workdir` holds a run that may neither be resumed nor deleted.

    Likewise where no folder can be made there, where it is no run of ours, or where other files
    would be deleted or replaced.
    """
    workdir = pathlib.Path(workdir)
    try:
        missing = [path for path in (workdir, *workdir.parents) if not path.exists()]
        workdir.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # another run may have begun there meanwhile
            for path in missing:
                path.rmdir()  # the rest of the input may be wrong
        if missing:
            return
    except OSError as error:
        raise InputError(
            f"`workdir={workdir}` cannot be made a folder ({error.strerror}): name another."
        ) from error
    owned = open_run(workdir)
    if owned is None:
        return
    if holds_run(workdir) and not (resume or overwrite):
        raise InputError(
            f"`workdir={workdir}` holds a run already: `resume=True` goes on with it, "
            "`overwrite=True` deletes it, or choose another `workdir`."
        )
    if overwrite or not holds_run(workdir):
        _check_removable(owned)
    else:
        read_settings(workdir)
        owned.check_claim(*FILES)
        _check_saved_model(owned)


def open_run(workdir):
    """`files.Owned` of a run; None for a folder that is missing, or empty but for what a kill left.

    Raises:
        InputError: it holds anything else, or its marker or recipe is broken or foreign.
    """
    owned = files.Owned.open(workdir, RUN)
    if owned is not None:
        return owned
    if os.path.lexists(workdir / RECIPE):
        # Of a run that was begun before there were lists.
        settings = read_settings(workdir)
        return files.Owned.recognise(workdir, RUN, settings["recipe"]["name"])
    others = files.Owned(workdir, RUN, "").others()
    if others:
        raise InputError(
            f"`workdir={workdir}` holds files that are no run ({files.list_names(others)}): name "
            "another folder."
        )
    return None


def read_settings(workdir):
    """What `RECIPE` says.

    Raises:
        InputError: it is missing, broken, or not of a run of ours.
    """
    path = workdir / RECIPE
    settings = files.read_json(
        path, "put a copy of it back to go on with the run, or name another `workdir`"
    )
    recipe, versions = settings.get("recipe"), settings.get("versions")
    ours = isinstance(versions, str) and versions.startswith("tfdeblur ")
    if not ours or not isinstance(recipe, dict) or not isinstance(recipe.get("name"), str):
        raise InputError(f"{path} is not of a training by tfdeblur: name another `workdir`.")
    return settings


def holds_run(workdir):
    """Whether there is a checkpoint or a network to go on from."""
    made = [path for path in workdir.glob("checkpoints/*") if re.fullmatch(CHECKPOINT, path.name)]
    return bool(made) or (workdir / "model.keras").exists()


def prepare(workdir, settings, overwrite):
    """Makes the folder ready for a run, and writes what the run is into `RECIPE`.

    A run that it holds is kept, to be resumed, unless `overwrite` is true; what a kill left of one
    without a checkpoint is deleted. To be asked after `check`.

    Args:
        settings: dict; "recipe" is that of `recipes.Recipe`, the others may be any JSON.

    Returns:
        `files.Owned`, to be asked before other files are written.

    Raises:
        InputError: the run that it holds has other settings; or as `check`.
    """
    workdir = pathlib.Path(workdir)
    owned = open_run(workdir)
    if owned and holds_run(workdir) and not overwrite:
        before = read_settings(workdir)
        _check_same_run(before, settings, workdir)
        if before["versions"] != reports.versions():
            say(
                f"This run was made with {before['versions']}, and goes on with "
                f"{reports.versions()}: it may end with other last digits.",
                file=sys.stderr,
            )
        saved = _check_saved_model(owned)
        owned.check_claim(*FILES)
        if saved:
            saved.write()
    else:
        if owned:
            delete(owned)
        workdir.mkdir(parents=True, exist_ok=True)
        owned = files.Owned(workdir, RUN, settings["recipe"]["name"])
    owned.paths.update(FILES)
    owned.write()
    owned.remove_leftovers()
    text = json.dumps({**settings, "versions": reports.versions()}, indent=2)
    files.write_text(workdir / RECIPE, text + "\n")
    return owned


def delete(owned):
    """Deletes a run, its recipe and its marker last.

    Raises:
        InputError: the folder holds anything else; then nothing is deleted.
    """
    saved = _check_removable(owned)
    if saved:
        saved.delete()
    owned.delete(last=(RECIPE,))


def discard(workdir):
    """Deletes what there is of a run that has nothing to go on from, if there is nothing else."""
    owned = files.Owned.open(workdir, RUN)
    if owned and not holds_run(workdir):
        delete(owned)


def _check_removable(owned):
    owned.check_removable(apart=(SAVED,))
    return _check_saved_model(owned)


def _check_saved_model(owned):
    """`files.Owned` of the run's SavedModel, which may be replaced; None where there is none."""
    folder = owned.folder / SAVED
    if owned.legacy and folder.is_dir() and not folder.is_symlink():
        saved = files.Owned.open(folder, SAVED_MODEL)
        saved = saved or files.Owned.recognise(folder, SAVED_MODEL, owned.name)
        saved.check_removable()
        return saved
    return files.check_replaceable(folder, SAVED_MODEL)


# What a recipe says of itself, which may be mended while a run goes on.
DESCRIPTION = {"paper", "published", "not_stated", "remarks"}


def _check_same_run(before, now, workdir):
    now = json.loads(json.dumps(now))  # tuples are lists there
    if before["recipe"]["name"] != now["recipe"]["name"]:
        raise InputError(
            f"`workdir={workdir}` holds a run of `recipe={before['recipe']['name']}`, which "
            f"`recipe={now['recipe']['name']}` cannot go on with: choose another `workdir`, or "
            "`overwrite=True`."
        )
    recipes = before["recipe"], now["recipe"]
    differences = [
        *_differences(*recipes, (recipes[0].keys() | recipes[1].keys()) - DESCRIPTION),
        *_differences(before, now, now.keys() - {"recipe"}),
    ]
    if differences:
        raise InputError(
            f"`workdir={workdir}` holds another run, which `resume=True` cannot go on with; "
            f"different are: {', '.join(differences)}. Choose another `workdir`, or "
            "`overwrite=True`."
        )


def _differences(before, now, keys):
    """In words, one for each key; what is missing is None."""
    return [
        f"{key} ({before.get(key)!r}, now {now.get(key)!r})"
        for key in sorted(keys)
        if before.get(key) != now.get(key)
    ]
