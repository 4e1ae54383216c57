#!/usr/bin/env python3
"""What the device can do at most, by PyTorch: what shares of a ceiling are taken of.

Prints one JSON object: copy rate, bf16 and int8 matrix products, and what a node of a CUDA graph costs.

  copy_gb_per_s        largest of three sizes, bytes read and written
  bf16_tflops          largest of three sizes of a square product
  int8_tops            the same through torch._int_mm; null where the device or this PyTorch has none
  graph_node_us        time per node of a graph of --nodes small additions (CUDA only, else null)
  launch_us            the same additions launched one by one
"""
import argparse
import json
import statistics
import sys
import time

import torch


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(function, device, seconds):
    """Median time of a call, of batches of at least 5 ms."""
    def run(n):
        synchronize(device)
        start = time.perf_counter()
        for _ in range(n):
            function()
        synchronize(device)
        return time.perf_counter() - start

    run(3)
    n = 1
    while run(n) < 5e-3:
        n *= 2
    samples, end = [], time.perf_counter() + seconds
    while len(samples) < 5 or time.perf_counter() < end:
        samples.append(run(n) / n)
    return statistics.median(samples)


def copy_rate(device, seconds, megabytes):
    rates = {}
    for size in megabytes:
        source = torch.empty(size << 18, dtype=torch.float32, device=device).normal_()
        target = torch.empty_like(source)
        rates[f"{size} MiB"] = 2 * source.numel() * 4 / seconds_of(lambda: target.copy_(source), device, seconds) / 1e9
    return rates


def product_rate(device, seconds, sizes, make, multiply):
    rates = {}
    for n in sizes:
        a, b = make(n), make(n).t()
        rates[n] = 2 * n**3 / seconds_of(lambda: multiply(a, b), device, seconds) / 1e12
    return rates


def bf16_rate(device, seconds, sizes):
    def make(n):
        return torch.randn(n, n, device=device, dtype=torch.bfloat16)
    return product_rate(device, seconds, sizes, make, torch.matmul)


def int8_rate(device, seconds, sizes):
    def make(n):
        return torch.randint(-127, 128, (n, n), device=device, dtype=torch.int8)
    try:
        return product_rate(device, seconds, sizes, make, torch._int_mm)
    except (AttributeError, RuntimeError) as error:
        print(f"int8 products are left out: {error}", file=sys.stderr)
        return None


def node_costs(device, seconds, nodes):
    x = torch.zeros(256, device=device)

    def chain():
        for _ in range(nodes):
            x.add_(1.0)

    launched = seconds_of(chain, device, seconds) / nodes * 1e6
    if device.type != "cuda":
        return None, launched
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        chain()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        chain()
    return seconds_of(graph.replay, device, seconds) / nodes * 1e6, launched


def best(rates):
    return max(rates.values()) if rates else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each measurement")
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch sees no GPU")
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    cuda = device.type == "cuda"
    megabytes, sizes = ((64, 512, 2048), (2048, 4096, 8192)) if cuda else ((4, 64), (256, 512))
    with torch.inference_mode():
        copies = copy_rate(device, args.seconds, megabytes)
        bf16 = bf16_rate(device, args.seconds, sizes)
        int8 = int8_rate(device, args.seconds, sizes)
    node_us, launch_us = node_costs(device, args.seconds, args.nodes)
    json.dump({
        "device": torch.cuda.get_device_name() if cuda else f"cpu, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "copy_gb_per_s": best(copies), "copy_by_size": copies,
        "bf16_tflops": best(bf16), "bf16_by_size": bf16,
        "int8_tops": best(int8), "int8_by_size": int8,
        "graph_node_us": node_us, "launch_us": launch_us,
    }, sys.stdout)
    print()


if __name__ == "__main__":
    main()
