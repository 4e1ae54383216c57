#!/usr/bin/env python3
"""Training steps of ResNet-18, -20 and -50 under LSQ in PyTorch: the peer of `gridstep-bench step --model resnet18`.

The network, the batch and the quantizers are those of `gridstep-bench step`: every convolution and the last layer with
weights per channel and inputs per tensor, the image as it is. The order of an epoch, crops and mirroring are left out,
in favour of PyTorch. The modes stand in lsq_peer.py.
"""
import torch
from torch import nn

from lsq_peer import QuantConv, quantizer_of, run_peer

PLANS = {  # blocks per stage, width, bottlenecks, ImageNet's stem, shortcuts of option A, classes
    "resnet18": ((2, 2, 2, 2), 64, False, True, False, 1000),
    "resnet20": ((3, 3, 3), 16, False, False, True, 10),
    "resnet50": ((3, 4, 6, 3), 64, True, True, False, 1000),
}


class ConvNorm(nn.Sequential):
    def __init__(self, inputs, outputs, kernel, side, quantizer, stride=1, quantize_input=True):
        conv = QuantConv(inputs, outputs, kernel, side * side, quantizer, quantize_input, stride, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs))


class OptionA(nn.Module):
    """Every `stride`-th pixel, with channels of zeros on both sides."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.stride, self.before = stride, (outputs - inputs) // 2
        self.after = outputs - inputs - self.before

    def forward(self, x):
        x = x[:, :, ::self.stride, ::self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, self.before, self.after))


class Block(nn.Module):
    def __init__(self, inputs, width, stride, side, bottleneck, option_a, quantizer):
        super().__init__()
        self.outputs = 4 * width if bottleneck else width
        after = (side - 1) // stride + 1
        if bottleneck:
            self.layers = nn.ModuleList([
                ConvNorm(inputs, width, 1, side, quantizer),
                ConvNorm(width, width, 3, side, quantizer, stride),
                ConvNorm(width, self.outputs, 1, after, quantizer)])
        else:
            self.layers = nn.ModuleList([
                ConvNorm(inputs, width, 3, side, quantizer, stride), ConvNorm(width, width, 3, after, quantizer)])
        self.shortcut = nn.Identity()
        if inputs != self.outputs or stride != 1:
            self.shortcut = (OptionA(inputs, self.outputs, stride) if option_a
                             else ConvNorm(inputs, self.outputs, 1, side, quantizer, stride))

    def forward(self, x):
        y = x
        for layer in self.layers[:-1]:
            y = torch.relu(layer(y))
        return torch.relu(self.layers[-1](y) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, name, side, quantizer):
        super().__init__()
        blocks, width, bottleneck, imagenet, option_a, classes = PLANS[name]
        kernel, stride = (7, 2) if imagenet else (3, 1)
        layers = [ConvNorm(3, width, kernel, side, quantizer, stride, quantize_input=False), nn.ReLU()]
        side = (side - 1) // stride + 1
        if imagenet:
            layers.append(nn.MaxPool2d(3, 2, 1))
            side = (side - 1) // 2 + 1
        channels = width
        for stage, count in enumerate(blocks):
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                layers.append(Block(channels, width << stage, stride, side, bottleneck, option_a, quantizer))
                channels, side = layers[-1].outputs, (side - 1) // stride + 1
        layers += [nn.AdaptiveAvgPool2d(1), QuantConv(channels, classes, 1, 1, quantizer), nn.Flatten()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def build(args, device):
    model = ResNet(args.model, args.size, quantizer_of(args.mode)).to(device)
    images = torch.randint(0, 256, (args.batch, 3, args.size, args.size), device=device, dtype=torch.uint8)
    labels = torch.randint(0, PLANS[args.model][-1], (args.batch,), device=device)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    return model, lambda: nn.functional.cross_entropy(model(images.float() / 255), labels)


def add_options(parser):
    parser.add_argument("--model", choices=sorted(PLANS), default="resnet18")
    parser.add_argument("--size", type=int, default=224)


if __name__ == "__main__":
    run_peer(__doc__, add_options, build)
