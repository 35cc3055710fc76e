"""TensorFlow 1 checkpoints: a pair of files, PREFIX.index and PREFIX.data-00000-of-00001."""

import math
import pathlib
import re

from tfdeblur.errors import InputError

_ENDING = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_MAX_INDEX_BYTES = 2**24  # SRN's and PSS-NSC's have 15 thousand


def is_checkpoint(path):
    """Whether a path is a checkpoint's prefix, or one of its files."""
    return bool(_ENDING.search(path.name)) or _with(path, ".index").exists()


def read_variables(path):
    """All variables of a checkpoint, training's own ones too.

    Args:
        path: the checkpoint's prefix, as `deblur.model-523000`, or one of its files.

    Returns:
        `{name: ndarray}`.

    Raises:
        InputError: a file is missing or damaged, or claims to hold more than it does.
    """
    import tensorflow as tf

    path = pathlib.Path(path)
    prefix = path.with_name(_ENDING.sub("", path.name))
    stored = _check_files(prefix)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        if not all(dtype.is_floating or dtype.is_integer for dtype in dtypes.values()):
            raise InputError(f"{prefix}.index holds something else than a network's numbers.")
        # TensorFlow would reserve what the index claims.
        claimed = sum(math.prod(shape) * dtypes[name].size for name, shape in shapes.items())
        if claimed > stored:
            raise InputError(
                f"{prefix}.index tells of {claimed:,} bytes of variables, but its .data files hold "
                f"{stored:,}: get both from their authors again."
            )
        return {name: reader.get_tensor(name) for name in sorted(shapes)}
    except InputError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise InputError(
            f"{prefix} is damaged, or no TensorFlow checkpoint: get its .index and .data files "
            f"from their authors again ({type(error).__name__})."
        ) from error


def _check_files(prefix):
    """Refuses what cannot be a checkpoint; returns how many bytes its .data files have."""
    index = _with(prefix, ".index")
    data = [
        file
        for file in prefix.parent.glob("*.data-*-of-*")
        if _ENDING.sub("", file.name) == prefix.name
    ]
    if not index.is_file() or not data:
        raise InputError(
            f"{prefix}: a TensorFlow checkpoint is {index.name} and {prefix.name}.data-00000-of-"
            f"00001 in one folder, but there is no "
            f"{'.data file' if index.is_file() else index.name}."
        )
    if index.stat().st_size > _MAX_INDEX_BYTES:
        raise InputError(f"{index} is too large for an index of a network's variables.")
    return sum(file.stat().st_size for file in data)


def _with(prefix, ending):
    return prefix.with_name(prefix.name + ending)
