"""The training step of the authors' public PyTorch code; started by train_step.py.

It needs PyTorch, NumPy and, for DeepDeblur, imageio, but not tfdeblur.
"""

import argparse
import contextlib
import sys
from types import SimpleNamespace

import stopwatch
import torch
from torch.nn.functional import interpolate, l1_loss

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("precision", choices=("float32", "bfloat16"))
    parser.add_argument("--code", required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--crop", type=int, required=True)
    args = parser.parse_args()
    on_gpu = DEVICE.type == "cuda"
    memory = torch.cuda.max_memory_allocated if on_gpu else stopwatch.of_process
    at_start = memory()

    torch.backends.cudnn.benchmark = True
    make_network, loss_of = NETWORKS[args.network]
    network = make_network(args.code).to(DEVICE).train()
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch_size, 3, args.crop, args.crop)
    blurry, sharp = (torch.rand(shape, generator=generator).to(DEVICE) for _ in range(2))
    autocast = contextlib.nullcontext()
    if args.precision == "bfloat16":
        network = network.to(memory_format=torch.channels_last)
        blurry = blurry.contiguous(memory_format=torch.channels_last)
        autocast = torch.autocast(DEVICE.type, torch.bfloat16)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    last = list(network.parameters())[-1]

    def step():
        optimizer.zero_grad()
        with autocast:
            loss = loss_of(network, blurry, sharp)
        loss.backward()
        optimizer.step()
        return loss.item(), last.detach().cpu()  # on the host: all before it is done

    stopwatch.serve(step, memory, at_start)


def deepdeblur(code):
    sys.path.insert(0, f"{code}/src")
    from model.MSResNet import build_model

    return build_model(
        SimpleNamespace(n_scales=3, n_resblocks=19, n_feats=64, kernel_size=5, rgb_range=255)
    )


def deepdeblur_loss(network, blurry, sharp):
    # Their data loader makes the pyramids, outside of the step; any images of these sizes will do.
    outputs = network([blurry[:, :, :: 2**k, :: 2**k] for k in range(3)])
    labels = [sharp[:, :, :: 2**k, :: 2**k] for k in range(3)]
    return sum(l1_loss(*pair) for pair in zip(outputs, labels, strict=True))


def mimo_unet(code):
    return _mimo_unet(code, "MIMO-UNet")


def mimo_unet_plus(code):
    return _mimo_unet(code, "MIMO-UNetPlus")


def _mimo_unet(code, name):
    sys.path.insert(0, code)
    from models.MIMOUNet import build_net

    return build_net(name)


def mimo_unet_loss(network, blurry, sharp):
    outputs = network(blurry)
    labels = [interpolate(sharp, scale_factor=s, mode="bilinear") for s in (0.25, 0.5)] + [sharp]
    pairs = list(zip(outputs, labels, strict=True))
    # Their `torch.rfft(onesided=False)` left PyTorch with version 1.8; this is its successor.
    frequency = sum(l1_loss(_spectrum(output), _spectrum(label)) for output, label in pairs)
    return sum(l1_loss(*pair) for pair in pairs) + 0.1 * frequency


def _spectrum(images):
    return torch.view_as_real(torch.fft.fft2(images.float()))


NETWORKS = {
    "deepdeblur": (deepdeblur, deepdeblur_loss),
    "mimo_unet": (mimo_unet, mimo_unet_loss),
    "mimo_unet_plus": (mimo_unet_plus, mimo_unet_loss),
}

if __name__ == "__main__":
    main()
