"""The scores of an evaluation in a folder, written as they come, so that it can be resumed."""

import csv
import dataclasses
import hashlib
import io
import itertools
import json
import pathlib
import re

from tfdeblur import files
from tfdeblur.errors import InputError
from tfdeblur.evaluation.scoring import Score

SCORES, IDENTITY = "scores.csv", "evaluation.json"
FILES = (
    *(SCORES, IDENTITY, "report.md", "report.html", "metrics.json"),
    *("comparison.png", "methods.png", "two_way.png"),
)
REPORT = files.Kind(
    "report",
    (*map(re.escape, FILES), r"comparison/(?s:.+)\.png"),
    (
        files.incomplete(f"(?:{'|'.join(map(re.escape, FILES))})"),
        rf"comparison/(?s:.+/)?{files.incomplete('(?s:.+)')}",
    ),
)
_FIELDS = [field.name for field in dataclasses.fields(Score)]
_TEXTS = ("image", "method", "protocol")


class Records:
    """scores.csv in a folder, and beside it evaluation.json, which says what the scores are of.

    Args:
        folder: is made where missing.
        identity: dict of what the scores depend on. Scores of an earlier evaluation that had the
            same are kept; others are deleted.
        scores_per_image: an image that has fewer is scored again.

    Attributes:
        path: of scores.csv.
        scores: list of Score, what it holds when it is opened.
        owned: `files.Owned` of the folder, to be asked before other files are written.

    Raises:
        InputError: the folder cannot be made or written, holds a training, or files of others that
            the report would replace.
    """

    def __init__(self, folder, identity, scores_per_image):
        self.path = pathlib.Path(folder, SCORES)
        marker = self.path.with_name(IDENTITY)
        text = json.dumps(identity, indent=2) + "\n"
        self.owned = _open(self.path.parent)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.owned.claim(*FILES)
            self.owned.write()
            same = marker.exists() and marker.read_bytes() == text.encode()
            self.scores = _complete(read(self.path), scores_per_image) if same else []
            write(self.path, self.scores)  # without a line that was cut off
            files.write_text(marker, text)
        except OSError as error:
            raise InputError(
                f"`report={folder}` cannot be written ({error.strerror}): name another folder."
            ) from error

    def add(self, scores):
        """Appends the scores of one image."""
        with open(self.path, "a", newline="") as file:
            _writer(file).writerows(map(dataclasses.astuple, scores))


def _open(folder):
    """`files.Owned` of a report's folder, which may hold other files under other names."""
    if (folder / "recipe.json").exists() or (folder / "model.keras").exists():
        raise InputError(f"`report={folder}` holds a training: name another folder.")
    owned = files.Owned.open(folder, REPORT)
    if owned or not (folder / IDENTITY).exists():
        return owned or files.Owned(folder, REPORT, "evaluation")
    # Of an evaluation that was begun before there were lists.
    before = files.read_json(folder / IDENTITY, "name another folder")
    if not str(before.get("versions")).startswith("tfdeblur ") or "protocol" not in before:
        raise InputError(
            f"{folder / IDENTITY} is not of an evaluation by tfdeblur: name another folder."
        )
    return files.Owned.recognise(folder, REPORT, "evaluation")


def digest(network):
    """Tells the weights of networks apart, for `identity`."""
    total = hashlib.sha256(repr(network.get_config()).encode())
    for values in network.get_weights():
        total.update(values.tobytes())
    return total.hexdigest()


def write(path, scores):
    """Writes scores as CSV; the file appears whole or not at all."""
    with files.replacing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = _writer(file)
        writer.writerow(_FIELDS)
        writer.writerows(map(dataclasses.astuple, scores))


def read(path):
    """The scores in a CSV file, without a line that was cut off; none where there is no file.

    Raises:
        InputError: the file holds something else.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
        return [Score(**{key: _parse(key, row[key]) for key in _FIELDS}) for row in rows]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged: delete it, and all is scored again.") from error


def _writer(file):
    return csv.writer(file, lineterminator="\n")


def _parse(key, text):
    if key in _TEXTS:
        return text
    if not text:
        return None
    return int(text) if key == "memory" else float(text)


def _complete(scores, scores_per_image):
    groups = [list(group) for _, group in itertools.groupby(scores, lambda one: one.image)]
    whole = itertools.takewhile(lambda group: len(group) == scores_per_image, groups)
    return [one for group in whole for one in group]
