"""Writes the checkpoints in golden/ with PyTorch itself, 2.13.0: `python make_checkpoints.py`.

Tensors of all kinds, in the old and the new format, amid what a training program saves with them.
Their numbers count up from 0 in the file, so that a test can tell what must come out.
"""

import torch
from golden import FOLDER

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def checkpoint():
    numbers = torch.arange(24.0)
    weights = torch.nn.Module()
    weights.parameter = torch.nn.Parameter(numbers[:6].clone().reshape(2, 3))
    weights.register_buffer("whole", numbers.reshape(2, 3, 4))
    weights.register_buffer("transposed", numbers.reshape(2, 3, 4).permute(2, 0, 1))
    weights.register_buffer("slice", numbers.reshape(2, 3, 4)[1, :, 1:3])
    weights.register_buffer("scalar", torch.tensor(7))
    weights.register_buffer("empty", torch.empty(0, 3))
    for dtype in FLOATS + INTEGERS:
        name = str(dtype).removeprefix("torch.")
        weights.register_buffer(f"as_{name}", torch.arange(2).to(dtype))
    optimizer = torch.optim.Adam(weights.parameters())
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
    weights.parameter.grad = torch.ones(2, 3)
    optimizer.step()
    weights.parameter.data = numbers[:6].clone().reshape(2, 3)
    return {
        "model": weights.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": 3,
        "size": torch.Size([2, 3]),
    }


for name, new_format in (("checkpoint.pt", True), ("checkpoint_old.pt", False)):
    torch.save(checkpoint(), FOLDER / name, _use_new_zipfile_serialization=new_format)
