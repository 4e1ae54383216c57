"""What the peers share: LSQ as a module and through PyTorch's operator, optimizers, timing, the command line.

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
    """A convolution whose weights and input (of `positions` values, of which those of a network's image are codes
    already) are quantized."""

    def __init__(self, inputs, outputs, kernel, positions, quantizer, quantize_input=True, stride=1, bias=True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)
        self.weight_quantizer = quantizer(-128, 127, (outputs, 1, 1, 1), inputs * kernel * kernel) if quantizer else None
        self.input_quantizer = quantizer(0, 255, (1,), inputs * positions) if quantizer and quantize_input else None

    def forward(self, x):
        if self.input_quantizer is not None:
            x = self.input_quantizer(x)
        w = self.conv.weight if self.weight_quantizer is None else self.weight_quantizer(self.conv.weight)
        return nn.functional.conv2d(x, w, self.conv.bias, stride=self.conv.stride, padding=self.conv.padding)


def quantizer_of(mode):
    return {"float": None, "operator": LsqOperator}.get(mode, Lsq)


def make_optimizer(name, parameters, capturable):
    options = {"adam": {"foreach": False}, "adam_foreach": {"foreach": True}, "adam_fused": {"fused": True}}[name]
    if capturable:
        options["capturable"] = True
    return torch.optim.Adam(parameters, lr=1e-4, **options)


def make_step(args, model, loss_of):
    """`loss_of()`: the loss of a batch."""
    optimizer = make_optimizer(args.optimizer, model.parameters(), args.cuda_graph)
    if args.mode == "compile":
        loss_of = torch.compile(loss_of, mode=args.compile_mode)

    def step():
        optimizer.zero_grad(set_to_none=not args.cuda_graph)
        loss_of().backward()
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


def memory_growth(device):
    """A function that tells the bytes taken at most since now: of the process's resident memory (Linux), or of the
    device's as PyTorch's allocator has reserved it. None where the system does not say."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_reserved()
        return lambda: torch.cuda.max_memory_reserved() - before

    def kib(name):
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(name))

    try:
        with open("/proc/self/clear_refs", "w") as peak:
            peak.write("5")  # the peak becomes what is resident now
        before = kib("VmRSS:")
        return lambda: (kib("VmHWM:") - before) * 1024
    except (OSError, StopIteration):
        return lambda: None


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


def run_peer(description, add_options, build):
    """Times the step of `build(args, device)`, which returns a model and its loss, and prints one JSON object:
    {"ms": median time of a step, "error": half its 95 % interval as a share, ...}."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["eager", "operator", "compile", "float"], default="eager")
    parser.add_argument("--compile-mode", choices=["default", "reduce-overhead", "max-autotune"], default="default")
    parser.add_argument("--optimizer", choices=["adam", "adam_foreach", "adam_fused"], default="adam_foreach")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--error", type=float, default=0.01)
    parser.add_argument("--cuda-graph", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    add_options(parser)
    args = parser.parse_args()
    if args.cuda_graph and args.device != "cuda":
        parser.error("--cuda-graph needs --device cuda")
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    torch.manual_seed(0)
    growth = memory_growth(device)
    model, loss_of = build(args, device)
    step = make_step(args, model, loss_of)
    for _ in range(3):
        step()
    memory = growth()
    ms, error, samples = time_steps(step, args.seconds, args.error, device)
    name = torch.cuda.get_device_name() if args.device == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    json.dump({"ms": ms, "error": error, "samples": samples, "memory": memory, "torch": torch.__version__, "device": name}, sys.stdout)
    print()
