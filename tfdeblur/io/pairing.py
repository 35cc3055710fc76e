"""Pairs of files: which blurry image belongs to which sharp one."""

import csv
import dataclasses
import io
import os
import pathlib
import re
import string

from tfdeblur.errors import InputError
from tfdeblur.io import images

_SHOWN = 20  # files in an error
_LONGEST = 2**26  # bytes of a list


@dataclasses.dataclass(frozen=True)
class Pair:
    """A blurry image, its sharp counterpart, and the name that they share."""

    name: str  # path relative to the folder, without suffix: "scene/000001"
    blurry: pathlib.Path
    sharp: pathlib.Path
    size: tuple[int, int]  # of both: width, height, in pixels


def find_pairs(blurry_dir=None, sharp_dir=None, pairs=None):
    """Pairs the images of two folders, which may be one.

    Args:
        blurry_dir: folder with blurry images, searched recursively.
        sharp_dir: folder with sharp ones.
        pairs: how they belong together. None: by their relative paths, suffixes aside. A template
            of both paths below the folders, such as "{scene}/blur_{n}.png,{scene}/gt_{n}.png": what
            stands for {n} is the same in both. Or a file, list.csv, with a line "blurry,sharp" for
            each pair, whose paths are relative to the folders, or else to the list's own folder.

    Returns:
        list of Pair, sorted by name.

    Raises:
        InputError: a folder or file is missing, an image has no partner or two, the sizes within a
            pair differ, or a header cannot be read.
    """
    if pairs and str(pairs).lower().endswith(".csv"):
        found = _listed(pathlib.Path(pairs), blurry_dir, sharp_dir)
    elif not (blurry_dir and sharp_dir):
        raise InputError("`blurry_dir` and `sharp_dir` go together: give both.")
    else:
        one, other = _templates(pairs) if pairs else (None, None)
        blurry = _by_key(blurry_dir, "blurry_dir", one)
        sharp = _by_key(sharp_dir, "sharp_dir", other)
        _refuse_lonely(blurry, sharp, pairs)
        found = {_name(blurry[key], blurry_dir): (blurry[key], sharp[key]) for key in blurry}
    return [_pair(name, *found[name]) for name in sorted(found)]


def _name(path, folder):
    return path.relative_to(folder).with_suffix("").as_posix()


def _refuse_lonely(blurry, sharp, pairs):
    lonely = [path for key, path in blurry.items() if key not in sharp]
    lonely += [path for key, path in sharp.items() if key not in blurry]
    if lonely:
        paths = sorted(map(str, lonely))
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        rule = (
            f"have paths as `pairs={pairs}` says"
            if pairs
            else ("have the same path below their folders, suffixes aside")
        )
        raise InputError(
            f"{len(lonely)} of {len(blurry)} blurry and {len(sharp)} sharp images have no partner: "
            f"{', '.join(paths[:_SHOWN])}{more}. Partners {rule}: add the missing ones, remove "
            "those that stand alone, or say by `pairs` how names belong together."
        )


def _by_key(folder, argument, template):
    """{what partners have in common: path}; only of images that fit the template, if any."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(f"`{argument}={folder}` is not a folder: name a folder with images.")
    found = {}
    for path in images.find_images([folder]):
        key = _name(path, folder)
        if template:
            match = template.fullmatch(path.relative_to(folder).as_posix())
            if not match:
                continue
            key = tuple(sorted(match.groupdict().items()))
        if key in found:
            raise InputError(
                f"{found[key]} and {path} (in `{argument}`) differ only in their suffixes, so "
                "that pairing them is ambiguous: remove one."
            )
        found[key] = path
    if not found:
        kind = "that fits `pairs`" if template else f"({', '.join(images.SUFFIXES)})"
        raise InputError(f"`{argument}={folder}` holds no image {kind}.")
    return found


def _templates(pairs):
    """The two regular expressions of a template, with the same groups."""
    parts = [part.strip() for part in pairs.split(",")]
    fields = [_fields(part) for part in parts]
    if len(parts) != 2 or not fields[0] or set(fields[0]) != set(fields[1]):
        raise InputError(
            f"`pairs={pairs}`: give a file list.csv, or two paths with the same {{names}}, such as "
            '"blur_{n}.png,gt_{n}.png".'
        )
    return [re.compile(_expression(part)) for part in parts]


def _fields(part):
    try:
        return [field for _, field, *_ in string.Formatter().parse(part) if field is not None]
    except ValueError:
        return []


def _expression(part):
    seen, expression = set(), ""
    for text, field, *_ in string.Formatter().parse(part):
        expression += re.escape(text)
        if field is None:
            continue
        if not field.isidentifier():
            raise InputError(f"`pairs`: {{{field}}} is no name: write {{n}}, say.")
        expression += f"(?P={field})" if field in seen else f"(?P<{field}>[^/]+?)"
        seen.add(field)
    return expression


def _listed(path, blurry_dir, sharp_dir):
    """{name: (blurry, sharp)} of a list's lines."""
    folders = [pathlib.Path(folder or path.parent) for folder in (blurry_dir, sharp_dir)]
    with images.open_regular(path, limit=_LONGEST) as file:
        text = file.read().decode("utf-8-sig", "surrogateescape")
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise InputError(f"{path} is no list of pairs ({error}): look for a lone quote.") from error
    found = {}
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and [x.lower() for x in cells] == ["blurry", "sharp"]):
            continue
        if len(cells) != 2 or not all(cells):
            raise InputError(f"{path}, line {number}: give two files, blurry,sharp.")
        pair = [folder / cell for folder, cell in zip(folders, cells, strict=True)]
        for missing in (x for x in pair if not x.is_file()):
            raise InputError(f"{path}, line {number}: {missing} is no file.")
        name = os.path.normpath(pathlib.PurePosixPath(cells[0]).with_suffix(""))
        if name.startswith(("..", "/")) or os.path.isabs(name):  # reports make files of names
            name = f"{number:06d}_{pair[0].stem}"
        if name in found:
            raise InputError(f"{path}, line {number}: {pair[0]} stands there twice.")
        found[name] = tuple(pair)
    if not found:
        raise InputError(f"{path} lists no pair: give it lines such as blur/1.png,sharp/1.png.")
    return found


def _pair(name, blurry, sharp):
    blurry_size, sharp_size = images.size(blurry), images.size(sharp)
    if blurry_size != sharp_size:
        raise InputError(
            "a pair differs in size: {} has {}x{} pixels, {} {}x{}: crop or replace one.".format(
                blurry, *blurry_size, sharp, *sharp_size
            )
        )
    return Pair(name, blurry, sharp, blurry_size)
