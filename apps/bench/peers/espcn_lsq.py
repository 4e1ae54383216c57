#!/usr/bin/env python3
"""Training steps of ESPCN under LSQ in PyTorch: the peer of `gridstep-bench step`.

The network, the batch and the quantizers are those of `gridstep-bench step`; crops, flips and rotations are left out, in
favour of PyTorch. The modes stand in lsq_peer.py.
"""
import torch
from torch import nn

from lsq_peer import QuantConv, quantizer_of, run_peer


class Espcn(nn.Module):
    def __init__(self, scale, patch, quantizer):
        super().__init__()
        area = patch * patch
        self.conv1 = QuantConv(3, 64, 5, area, quantizer, quantize_input=False)  # the image is codes already
        self.conv2 = QuantConv(64, 32, 3, area, quantizer)
        self.conv3 = QuantConv(32, 3 * scale * scale, 3, area, quantizer)
        self.scale = scale

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        return nn.functional.pixel_shuffle(self.conv3(x), self.scale)


def build(args, device):
    model = Espcn(args.scale, args.patch, quantizer_of(args.mode)).to(device)
    low = torch.randint(0, 256, (args.batch, 3, args.patch, args.patch), device=device, dtype=torch.uint8)
    side = args.patch * args.scale
    high = torch.randint(0, 256, (args.batch, 3, side, side), device=device, dtype=torch.uint8)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
        low, high = (t.contiguous(memory_format=torch.channels_last) for t in (low, high))
    return model, lambda: nn.functional.mse_loss(model(low.float() / 255), high.float() / 255)


def add_options(parser):
    parser.add_argument("--scale", type=int, default=3)
    parser.add_argument("--patch", type=int, default=17)


if __name__ == "__main__":
    run_peer(__doc__, add_options, build)
