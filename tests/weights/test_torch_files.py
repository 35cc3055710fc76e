"""PyTorch's files without PyTorch: sound ones are read, unsound ones do nothing."""

import io
import os
import pathlib
import pickle
import zipfile

import golden
import ml_dtypes
import numpy as np
import pytest
import torch_writer

from tfdeblur.errors import InputError
from tfdeblur.weights import torch_files

FORMATS = pytest.mark.parametrize("old_format", [False, True], ids=["zip", "stream"])
WRITTEN_BY_PYTORCH = [golden.FOLDER / "checkpoint.pt", golden.FOLDER / "checkpoint_old.pt"]


@pytest.mark.parametrize("path", WRITTEN_BY_PYTORCH, ids=["zip", "stream"])
def test_files_of_pytorch(path):
    state = torch_files.read_state_dict(path)
    numbers = np.arange(24, dtype="float32")
    cube = numbers.reshape(2, 3, 4)
    expected = {
        "parameter": numbers[:6].reshape(2, 3),
        "whole": cube,
        "transposed": cube.transpose(2, 0, 1),
        "slice": cube[1, :, 1:3],
        "scalar": np.int64(7),
        "empty": np.empty((0, 3), "float32"),
        **{
            f"as_{np.dtype(dtype)}": np.arange(2).astype(dtype)
            for dtype in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?")
        },
        "as_bfloat16": np.arange(2).astype(ml_dtypes.bfloat16),
    }
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert state[name].dtype == value.dtype, name
        np.testing.assert_array_equal(state[name], value, err_msg=name)


@FORMATS
def test_what_pytorch_loads(old_format, tmp_path):
    torch = pytest.importorskip("torch")
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    state = {
        "whole": base,
        "view": base.permute(2, 0, 1)[1:, :, 1:],
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "half": base.half(),
        "parameter": torch.nn.Parameter(base[0]),
        **torch.nn.BatchNorm2d(3).state_dict(),
    }
    optimizer = {"state": {0: {"step": torch.tensor(2.0)}}, "param_groups": [{"lr": 1e-4}]}
    path = tmp_path / "net.pt"
    saved = {"epoch": 3, "state_dict": state, "optimizer": optimizer}
    torch.save(saved, path, _use_new_zipfile_serialization=not old_format)
    expected = torch.load(path, weights_only=True)["state_dict"]
    found = torch_files.read_state_dict(path)
    assert list(expected) == list(found)
    for value, tensor in zip(found.values(), expected.values(), strict=True):
        tensor = tensor.detach().numpy()
        assert value.dtype == tensor.dtype
        np.testing.assert_array_equal(value, tensor)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("under", [None, "model", "G"])
@FORMATS
def test_where_training_programs_put_the_weights(old_format, under, protocol, tmp_path):
    path = tmp_path / "net.pt"
    weights = {"a": np.arange(6, dtype="float16").reshape(2, 3), "b": np.ones(2)}
    torch_writer.write(path, weights, old_format, protocol, under)
    state = torch_files.read_state_dict(path)
    assert list(state) == ["a", "b"]
    for name, value in weights.items():
        np.testing.assert_array_equal(state[name], value)


def test_a_folder_with_a_module_in_each_file(tmp_path):
    for module in ("decoder", "encoder"):
        torch_writer.write(tmp_path / f"{module}.pkl", {"weight": np.ones(2)})
    (tmp_path / "notes.txt").write_text("no checkpoint")
    assert list(torch_files.read_state_dict(tmp_path)) == ["decoder.weight", "encoder.weight"]
    (tmp_path / "empty").mkdir()
    match = r"empty holds no checkpoints \(\.pt, \.pth, \.pkl, \.h5\)"
    with pytest.raises(InputError, match=match):
        torch_files.read_state_dict(tmp_path / "empty")


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def python_2_pickle(command):
    return f"(S'{command}'\nios\nsystem\n.".encode()


HOSTILE = {
    "call": (lambda command: pickle.dumps(Call(os.system, command), 2), "posix.system"),
    "call_by_new_opcodes": (
        lambda command: pickle.dumps(Call(os.system, command), 4),
        "posix.system",
    ),
    "inside_a_state_dict": (
        lambda command: torch_writer.dumps({"model": {"weight": Call(os.system, command)}}),
        "posix.system",
    ),
    "as_a_key": (
        lambda command: torch_writer.dumps({Call(os.system, command): 1}),
        "posix.system",
    ),
    "instance_opcode": (python_2_pickle, "os.system"),
    "evaluated": (
        lambda command: pickle.dumps(Call(eval, f"__import__('os').system({command!r})"), 2),
        "__builtin__.eval",
    ),
    "attribute_of_what_is_allowed": (
        lambda command: b"\x80\x04\x8c\x05torch\x8c\x22_utils._rebuild_tensor.__globals__\x93.",
        "torch._utils._rebuild_tensor.__globals__",
    ),
    "fetched_by_getattr": (
        lambda command: pickle.dumps(Call(getattr, Call(__import__, "os"), "system"), 2),
        "__builtin__.getattr",
    ),
    "partially_applied": (
        lambda command: b"\x80\x02cfunctools\npartial\n)R.",
        "functools.partial",
    ),
    "whole_network": (
        lambda command: pickle.dumps(pathlib.PurePosixPath("x"), 2),
        "pathlib.*PurePosixPath",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("container", ["zip", "stream", "bare pickle"])
def test_files_that_would_run_code_are_refused_by_name(container, case, tmp_path):
    path, ran = tmp_path / "net.pt", tmp_path / "ran"
    make, name = HOSTILE[case]
    content = make(f"touch {ran}")
    if container == "bare pickle":
        path.write_bytes(content)
    else:
        torch_writer.write_pickle(path, content, old_format=container == "stream")
    with pytest.raises(InputError, match=rf"net\.pt names {name}, .*nothing was run"):
        torch_files.read_state_dict(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    "content",
    [
        # A state for the stand-ins themselves, each of which would change the next file's reading.
        b"\x80\x02ccollections\nOrderedDict\n}U\x04keysNs\x86b.",
        b"\x80\x02ccollections\nOrderedDict\nN}U\x04keysNs\x86b.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}U\x0c__defaults__)s\x86b.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\nN}U\x08__code__Ns\x86b.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",  # a type of numbers, called
        b"\x80\x02}r\xff\xff\xff\x7f.",  # the 2147483647th object
        b"\x80\x02U\x05abc.",  # a string that is shorter than it says
        b"\x80\x02K\x01Q.",  # a reference to storage that is a number
        b"\x80\x02)Q.",
        b"\x80\x02.",
        b"\x80\x02K\x01.",
        b"",
    ],
)
@FORMATS
def test_malformed_pickles_are_refused(old_format, content, tmp_path):
    path = tmp_path / "net.pt"
    torch_writer.write_pickle(path, content, old_format=old_format)
    with pytest.raises(InputError, match=r"net\.pt (is damaged|holds no weights)"):
        torch_files.read_state_dict(path)
    test_files_of_pytorch(WRITTEN_BY_PYTORCH[0])


def claim(**changes):
    """A tensor of six numbers, of which something else is claimed."""
    tensor = torch_writer.tensor(np.arange(6, dtype="float32").reshape(2, 3), "0")
    storage = {k: changes.pop(k) for k in ("count", "kind") if k in changes}
    for name, value in storage.items():
        setattr(tensor.storage, name, value)
    for name, value in changes.items():
        setattr(tensor, name, value)
    return tensor


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (3, 3)},
        {"offset": 1},
        {"offset": -1},
        {"offset": 2**70},
        {"strides": (4, 1)},
        {"strides": (-3, 1)},
        {"strides": (3,)},
        {"shape": (10**6, 10**6), "strides": (0, 0)},
        {"shape": (2**63, 3)},
        {"shape": (2.0, 3)},
        {"shape": "23"},
        {"shape": (1,) * 100, "strides": (1,) * 100},
        {"count": 7},
        {"count": 5},
        {"count": -1},
        {"count": 2**62},
        {"count": 2**70},
        {"kind": "DoubleStorage"},
    ],
    ids=str,
)
@FORMATS
def test_tensors_beyond_their_file_are_refused(old_format, changes, tmp_path):
    path = tmp_path / "net.pt"
    tensor = claim(**changes)
    honest = torch_writer.Storage("0", "FloatStorage", 6, tensor.storage.content)
    torch_writer.write_pickle(path, torch_writer.dumps({"a": tensor}), [honest], old_format)
    with pytest.raises(InputError, match=r"net\.pt is damaged"):
        torch_files.read_state_dict(path)


def test_contradicting_tensors_are_refused(tmp_path):
    torch_writer.write(tmp_path / "net.pt", {"a": claim(), "b": claim(count=5)})
    with pytest.raises(InputError, match="contradicts itself"):
        torch_files.read_state_dict(tmp_path / "net.pt")


@pytest.mark.parametrize("path", WRITTEN_BY_PYTORCH, ids=["zip", "stream"])
def test_truncated_files_are_refused(path, tmp_path):
    whole = path.read_bytes()
    part = tmp_path / "net.pt"
    for length in range(0, len(whole), 97):
        part.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"net\.pt is damaged"):
            torch_files.read_state_dict(part)


def test_corrupt_archives_are_refused(tmp_path):
    path = tmp_path / "net.pt"
    torch_writer.write(path, {"a": np.full(100, 1.5, "float32")})
    content = path.read_bytes()
    start = content.index(np.full(100, 1.5, "float32").tobytes())
    path.write_bytes(content[:start] + b"\1" + content[start + 1 :])
    with pytest.raises(InputError, match=r"net\.pt is damaged.*Bad CRC-32"):
        torch_files.read_state_dict(path)


def archive(**entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in entries.items():
            written.writestr(f"net/{name.replace('_', '.')}", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(data_pkl=bytes(10**7)), r"its data\.pkl is compressed"),
        (archive(readme_txt="weights are in models/"), "unpack it and name a file"),
        (b"\n<!DOCTYPE html><title>Virus scan warning</title>", "is a web page"),
        (pickle.dumps({"a": 1}, 2), "no PyTorch checkpoint"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1000, 2), "is no PyTorch"),
        (b"not a network", "is damaged, or no PyTorch checkpoint"),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    path = tmp_path / "net.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"net\.pkl .*{message}"):
        torch_files.read_state_dict(path)


def test_big_endian_files_are_refused(tmp_path):
    path = tmp_path / "net.pt"
    torch_writer.write(path, {"a": np.ones(2)})
    with zipfile.ZipFile(path, "a") as written:
        written.writestr("net/byteorder", "big")
    with pytest.raises(InputError, match="big-endian"):
        torch_files.read_state_dict(path)
    torch_writer.write(path, {"a": np.ones(2)}, old_format=True)
    little = pickle.dumps({"little_endian": True}, 2)
    path.write_bytes(path.read_bytes().replace(little, little.replace(b"\x88", b"\x89")))
    with pytest.raises(InputError, match="big-endian"):
        torch_files.read_state_dict(path)


@pytest.mark.parametrize("tree", [{}, [1], {"a": 1}, {1: claim()}, {"model": 3}, claim()], ids=str)
def test_files_without_weights_are_refused(tree, tmp_path):
    storage = torch_writer.tensor(np.arange(6, dtype="float32"), "0").storage
    torch_writer.write_pickle(tmp_path / "net.pt", torch_writer.dumps(tree), [storage])
    with pytest.raises(InputError, match=r"net\.pt holds no weights.*state_dict\(\)"):
        torch_files.read_state_dict(tmp_path / "net.pt")


def nested_key(path):
    content = b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s."
    path.write_bytes(content)


def laughing_key(path):
    content = b"\x80\x02}" + b")" + b"".join(b"2\x86" for _ in range(200)) + b"K\x01s."
    path.write_bytes(content)


@pytest.mark.parametrize("write", [nested_key, laughing_key])
def test_keys_that_cannot_be_hashed_are_refused(tmp_path, write):
    write(tmp_path / "made.pth")
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    machine = b"\x80\x02}X\r\x00\x00\x00little_endian\x88s."
    path = tmp_path / "whole.pth"
    path.write_bytes(magic + machine + (tmp_path / "made.pth").read_bytes())
    with pytest.raises(InputError, match="tuple as a key"):
        torch_files.read_state_dict(path)
