#!/usr/bin/env python3
"""Writes resnet_golden.h: logits, loss, running statistics and gradients of float residual networks, and the losses of ten steps of gradient
descent under LSQ, made with PyTorch in float64.

Weights, pixels and labels are made by the same integer formula in tests/models/test_resnet_golden.cpp, so only results are stored. The networks
are written here from PyTorch's layers, with torchvision's parameter names and forward pass.

Usage: python make_resnet_golden.py   (needs torch; writes beside itself)
"""

import math
import pathlib

import torch
from torch import nn

N, CLASSES = 4, 10
INPUT_STEP, WEIGHT_STEP = 0.011, 0.0079


def integers(count, salt, modulus):
    i = torch.arange(1, count + 1, dtype=torch.int64)
    return i * (2 * salt + 7) * 7919 % 65521 % modulus


def made(count, salt, scale):
    """Numbers in [-scale, scale], multiples of scale / 64."""
    return (integers(count, salt, 129).double() - 64) / 64 * scale


class Block(nn.Module):
    def __init__(self, channels, width, stride, option_a):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.missing = width - channels
        if self.missing and not option_a:
            self.downsample = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if hasattr(self, "downsample"):
            x = self.downsample(x)
        elif self.missing:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.missing // 2, self.missing - self.missing // 2))
        return torch.relu(y + x)


class Resnet(nn.Module):
    def __init__(self, widths, blocks, imagenet, option_a, classes=CLASSES):
        super().__init__()
        self.imagenet = imagenet
        self.conv1 = nn.Conv2d(3, widths[0], 7 if imagenet else 3, 2 if imagenet else 1, 3 if imagenet else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        channels = widths[0]
        self.stages = []
        for s, width in enumerate(widths):
            stage = []
            for b in range(blocks):
                stage.append(Block(channels, width, 2 if s > 0 and b == 0 else 1, option_a))
                channels = width
            setattr(self, f"layer{s + 1}", nn.Sequential(*stage))
            self.stages.append(f"layer{s + 1}")
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        if self.imagenet:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))


def fill(model):
    for name, p in model.named_parameters():
        salt = sum(name.encode()) % 997
        if p.dim() == 4:
            k, c, r, s = p.shape
            scale = 2.0 ** round(math.log2(math.sqrt(6 / (c * r * s))))
            values = made(p.numel(), salt, scale).reshape(k, r, s, c).permute(0, 3, 1, 2)  # the library's order is K, R, S, C
        elif name == "fc.weight":
            values = made(p.numel(), salt, 0.125).reshape(p.shape)
        else:  # scales about 1, shifts about 0
            values = made(p.numel(), salt, 0.25) + (1.0 if name.endswith("weight") else 0.0)
        p.data = values.contiguous()


def numbers(values):
    return "{" + ", ".join(repr(float(v)) for v in values) + "}"


def run(name, side, model):
    model = model.double()
    fill(model)
    # Chosen so that no ReLU or maximum hangs on the last bits: PyTorch in float32 then has the same gradients to 2e-5.
    pixels = integers(N * side * side * 3, 4, 251).double().reshape(N, side, side, 3)
    # The image's step is the float32 number nearest to 1/255, the library's constant.
    x = (pixels * float(torch.tensor(1.0 / 255, dtype=torch.float32))).permute(0, 3, 1, 2)
    labels = torch.tensor([3, 0, 9, 5])
    logits = model(x)
    loss = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    loss.backward()
    model.eval()
    evaluated = model(x)
    rows = []
    for parameter, p in model.named_parameters():
        if parameter.startswith(("conv1", "bn1", "layer2.0", "fc")):
            g = p.grad.permute(0, 2, 3, 1).reshape(-1) if p.dim() == 4 else p.grad.reshape(-1)
            rows.append(f'      {{"{parameter}", {float(g.norm())!r}, {numbers([g[i * (len(g) - 1) // 3] for i in range(4)])}}},\n')
    last = model.stages[-1]
    statistics = [getattr(model, last)[-1].bn2.running_mean[:8], getattr(model, last)[-1].bn2.running_var[:8]]
    return (
        f'    {{"{name}", {side}, "{last}.{len(getattr(model, last)) - 1}.bn2", {loss.item()!r},\n     {numbers(logits.detach().flatten())},\n'
        f"     {numbers(evaluated.detach().flatten())},\n     {numbers(statistics[0])},\n     {numbers(statistics[1])},\n     {{\n" + "".join(rows) + "     }},\n"
    )


class Lsq(nn.Module):
    """Learned step size quantization (arXiv 1902.08153), gradient of the step times 1 / sqrt(elements p)."""

    def __init__(self, low, high, step):
        super().__init__()
        self.low, self.high = low, high
        self.step = nn.Parameter(step)

    def forward(self, x):
        elements = x[0].numel()
        factor = 1 / math.sqrt(elements * self.high)
        s = (self.step - self.step * factor).detach() + self.step * factor
        v = (x / s).clamp(self.low, self.high)
        return ((v.round() - v).detach() + v) * s


class QuantLayer(nn.Module):
    """A convolution or linear layer with 8-bit weights (a step per output channel) and 8-bit unsigned inputs."""

    def __init__(self, layer, is_first):
        super().__init__()
        self.layer = layer
        weight = layer.weight.detach()
        shape = (weight.shape[0],) + (1,) * (weight.dim() - 1)
        single = torch.tensor(float(weight.abs().max()) * WEIGHT_STEP, dtype=torch.float32).double()
        self.weight_quantizer = Lsq(-127, 127, single.expand(shape).clone())
        self.input_quantizer = None if is_first else Lsq(0, 255, torch.tensor(INPUT_STEP, dtype=torch.float32).double())

    def forward(self, x):
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        w = self.weight_quantizer(self.layer.weight)
        if isinstance(self.layer, nn.Linear):
            return nn.functional.linear(x, w, self.layer.bias)
        return nn.functional.conv2d(x, w, None, self.layer.stride, self.layer.padding)


def quantize_layers(module, name=""):
    for child_name, child in module.named_children():
        path = f"{name}.{child_name}" if name else child_name
        if isinstance(child, (nn.Conv2d, nn.Linear)):
            setattr(module, child_name, QuantLayer(child, path == "conv1"))
        else:
            quantize_layers(child, path)


def lsq_losses(name, side, model, samples, rate, gain, tolerance):
    """Rounding is chaotic: a code that flips moves the loss, so that PyTorch's own float32 leaves its float64 by several per cent within ten steps
    at the weights of `fill`. With a small scale (the gain) of the last norm of each block, and for ResNet-18 1000 classes, 64 images and a rate
    that moves the loss by 1.6 % in all, the two stay within 3e-5 (ResNet-20) and 3.4e-4 (ResNet-18) of each other."""
    model = model.double()
    classes = model.fc.out_features
    fill(model)
    for parameter, p in model.named_parameters():
        if parameter.endswith("bn2.weight"):
            p.data *= gain
    quantize_layers(model)
    pixels = integers(samples * side * side * 3, 4, 251).double().reshape(samples, side, side, 3)
    x = (pixels * float(torch.tensor(1.0 / 255, dtype=torch.float32))).permute(0, 3, 1, 2)
    labels = torch.arange(samples) * 7 % classes
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return f'    {{"{name}", {side}, {samples}, {classes}, {rate}f, {gain}, {tolerance}, {numbers(losses)}}},\n'


HEAD = f"""// Generated by make_resnet_golden.py with PyTorch {torch.__version__.split("+")[0]}, float64. Do not edit.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace gridstep::test {{

struct ResnetGradient {{
  std::string parameter;
  double norm;
  std::array<double, 4> picked;  // elements i * (count - 1) / 3
}};

struct ResnetGolden {{
  std::string model;
  int side;
  std::string last_norm;
  double loss;
  std::vector<double> logits, evaluated;  // with statistics of the batch, and afterwards with running ones
  std::vector<double> mean, var;          // the first running statistics of the last norm
  std::vector<ResnetGradient> gradients;
}};

// clang-format off
inline const std::vector<ResnetGolden> kResnetGolden = {{
"""

LSQ_HEAD = f"""}};

// Losses of ten steps of gradient descent on one batch, W8A8. A weight's steps begin at kWeightStep times its largest
// magnitude, those of inputs at kInputStep.
inline constexpr float kInputStep = {INPUT_STEP}f;
inline constexpr double kWeightStep = {WEIGHT_STEP};
struct LsqGolden {{
  std::string model;
  int side, samples, classes;
  float rate;
  double gain;       // of the last norm of each block
  double tolerance;  // relative
  std::vector<double> losses;
}};
inline const std::vector<LsqGolden> kLsqGolden = {{
"""


def resnet20():
    return "resnet20", 16, Resnet([16, 32, 64], 3, False, True)


def resnet18(classes=CLASSES):
    return "resnet18", 64, Resnet([64, 128, 256, 512], 2, True, False, classes)


text = HEAD + run(*resnet20()) + run(*resnet18()) + LSQ_HEAD
text += lsq_losses(*resnet20(), 16, 0.01, 0.02, 2e-4) + lsq_losses(*resnet18(1000), 64, 0.002, 0.005, 1e-3)
text += "};\n// clang-format on\n\n}  // namespace gridstep::test\n"
(pathlib.Path(__file__).parent / "resnet_golden.h").write_text(text)
