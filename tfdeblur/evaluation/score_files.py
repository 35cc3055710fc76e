"""The scores of an evaluation in a folder, written as they come, so that it can be resumed."""

import csv
import dataclasses
import hashlib
import io
import itertools
import json
import os
import pathlib

from tfdeblur.errors import InputError
from tfdeblur.evaluation.scoring import Score

SCORES, IDENTITY = "scores.csv", "evaluation.json"
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

    Raises:
        InputError: the folder cannot be made or written, or holds the scores of a training.
    """

    def __init__(self, folder, identity, scores_per_image):
        self.path = pathlib.Path(folder, SCORES)
        marker = self.path.with_name(IDENTITY)
        text = json.dumps(identity, indent=2) + "\n"
        if self.path.exists() and not marker.exists():
            raise InputError(f"--report={folder} holds scores of a training: name another folder.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            same = marker.exists() and marker.read_text() == text
            self.scores = _complete(read(self.path), scores_per_image) if same else []
            write(self.path, self.scores)  # without a line that was cut off
            marker.write_text(text)
        except OSError as error:
            raise InputError(
                f"--report={folder} cannot be written ({error.strerror}): name another folder."
            ) from error

    def add(self, scores):
        """Appends the scores of one image."""
        with open(self.path, "a", newline="") as file:
            _writer(file).writerows(map(dataclasses.astuple, scores))


def digest(network):
    """Tells the weights of networks apart, for `identity`."""
    total = hashlib.sha256(repr(network.get_config()).encode())
    for values in network.get_weights():
        total.update(values.tobytes())
    return total.hexdigest()


def write(path, scores):
    """Writes scores as CSV; the file appears whole or not at all."""
    temporary = path.with_name(f".incomplete-{path.name}")
    with open(temporary, "w", newline="") as file:
        writer = _writer(file)
        writer.writerow(_FIELDS)
        writer.writerows(map(dataclasses.astuple, scores))
    os.replace(temporary, path)


def read(path):
    """The scores in a CSV file, without a line that was cut off; none where there is no file.

    Raises:
        InputError: the file holds something else.
    """
    if not path.exists():
        return []
    text = path.read_text()
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    try:
        return [Score(**{key: _parse(key, row[key]) for key in _FIELDS}) for row in rows]
    except (KeyError, ValueError) as error:
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
