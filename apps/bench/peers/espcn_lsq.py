#!/usr/bin/env python3
"""Training steps of ESPCN under LSQ in PyTorch: the peer of `gridstep-bench step`.

Prints one JSON object: {"ms": median time of a step, "error": half its 95 % interval as a share, ...}. The network, the
batch and the quantizers are those of `gridstep-bench step`; crops, flips and rotations are left out, in favour of PyTorch.

  --mode eager        LSQ as its users write it: a module of elementwise operations with a straight-through estimator
  --mode operator     PyTorch's own learnable fake-quantization operator
  --mode compile      the module of `eager` under torch.compile, --compile-mode chooses how
  --mode float        no quantizers
  --cuda-graph        the whole step captured as a CUDA graph (CUDA only)
  --optimizer         adam, adam_foreach, adam_fused
"""
import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn


def round_through(x):
    return (x.round() - x).detach() + x


def scale_gradient(s, factor):
    return (s - s * factor).detach() + s * factor


class Lsq(nn.Module):
    """Learned step size (arXiv 1902.08153): per tensor for activations, per output channel for weights."""

    def __init__(self, low, high, shape, elements):
        super().__init__()
        self.low, self.high, self.factor = low, high, (elements * high) ** -0.5
        self.step = nn.Parameter(torch.full(shape, 0.02))

    def forward(self, x):
        s = scale_gradient(self.step, self.factor)
        return round_through((x / s).clamp(self.low, self.high)) * s


class LsqOperator(nn.Module):
    """The same through torch._fake_quantize_learnable_per_{tensor,channel}_affine."""

    def __init__(self, low, high, shape, elements):
        super().__init__()
        self.low, self.high, self.factor, self.channels = low, high, (elements * high) ** -0.5, len(shape) > 1
        self.step = nn.Parameter(torch.full((shape[0] if self.channels else 1,), 0.02))
        self.register_buffer("zero", torch.zeros_like(self.step))

    def forward(self, x):
        if self.channels:
            return torch._fake_quantize_learnable_per_channel_affine(x, self.step, self.zero, 0, self.low, self.high, self.factor)
        return torch._fake_quantize_learnable_per_tensor_affine(x, self.step, self.zero, self.low, self.high, self.factor)


class QuantConv(nn.Module):
    def __init__(self, inputs, outputs, kernel, patch, quantizer, quantize_input):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.weight_quantizer = quantizer(-128, 127, (outputs, 1, 1, 1), inputs * kernel * kernel) if quantizer else None
        self.input_quantizer = quantizer(0, 255, (1,), inputs * patch * patch) if quantizer and quantize_input else None

    def forward(self, x):
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        w = self.conv.weight if self.weight_quantizer is None else self.weight_quantizer(self.conv.weight)
        return nn.functional.conv2d(x, w, self.conv.bias, padding=self.conv.padding)


class Espcn(nn.Module):
    def __init__(self, scale, patch, quantizer):
        super().__init__()
        self.conv1 = QuantConv(3, 64, 5, patch, quantizer, False)  # the image is codes already
        self.conv2 = QuantConv(64, 32, 3, patch, quantizer, True)
        self.conv3 = QuantConv(32, 3 * scale * scale, 3, patch, quantizer, True)
        self.scale = scale

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        return nn.functional.pixel_shuffle(self.conv3(x), self.scale)


def make_optimizer(name, parameters, capturable):
    options = {"adam": {"foreach": False}, "adam_foreach": {"foreach": True}, "adam_fused": {"fused": True}}[name]
    if capturable:
        options["capturable"] = True
    return torch.optim.Adam(parameters, lr=1e-4, **options)


def make_step(args, device):
    quantizer = {"float": None, "operator": LsqOperator}.get(args.mode, Lsq)
    torch.manual_seed(0)
    model = Espcn(args.scale, args.patch, quantizer).to(device)
    low = torch.randint(0, 256, (args.batch, 3, args.patch, args.patch), device=device, dtype=torch.uint8)
    high = torch.randint(0, 256, (args.batch, 3, args.patch * args.scale, args.patch * args.scale), device=device, dtype=torch.uint8)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
        low, high = (t.contiguous(memory_format=torch.channels_last) for t in (low, high))
    optimizer = make_optimizer(args.optimizer, model.parameters(), args.cuda_graph)

    def loss_of(low, high):
        return nn.functional.mse_loss(model(low.float() / 255), high.float() / 255)

    if args.mode == "compile":
        loss_of = torch.compile(loss_of, mode=args.compile_mode)

    def step():
        optimizer.zero_grad(set_to_none=not args.cuda_graph)
        loss_of(low, high).backward()
        optimizer.step()

    return captured(step) if args.cuda_graph else step


def captured(step):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def time_steps(step, seconds, wanted, device):
    """Median and its 95 % interval (McGill, Tukey, Larsen 1978), of samples of at least 5 ms."""
    def run(n):
        start = time.perf_counter()
        for _ in range(n):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1e3

    for _ in range(5):
        run(1)
    n = 1
    while run(n) < 5:
        n *= 2
    samples, end = [], time.perf_counter() + seconds
    while True:
        samples.append(run(n) / n)
        if len(samples) < 9:
            continue
        low, middle, high = statistics.quantiles(samples, n=4)
        error = 1.57 * (high - low) / len(samples) ** 0.5 / middle
        if error <= wanted or time.perf_counter() > end:
            return middle, error, len(samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["eager", "operator", "compile", "float"], default="eager")
    parser.add_argument("--compile-mode", choices=["default", "reduce-overhead", "max-autotune"], default="default")
    parser.add_argument("--optimizer", choices=["adam", "adam_foreach", "adam_fused"], default="adam_foreach")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--scale", type=int, default=3)
    parser.add_argument("--patch", type=int, default=17)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--error", type=float, default=0.01)
    parser.add_argument("--cuda-graph", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    if args.cuda_graph and args.device != "cuda":
        parser.error("--cuda-graph needs --device cuda")
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    ms, error, samples = time_steps(make_step(args, device), args.seconds, args.error, device)
    name = torch.cuda.get_device_name() if args.device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    json.dump({"ms": ms, "error": error, "samples": samples, "torch": torch.__version__, "device": name}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
