#!/usr/bin/env python3
"""Writes optim_golden.h (trajectories of every optimizer in float64) and schedule_golden.h (rates), made with PyTorch.

Two tensors are trained, `weight` of shape (3, 4) and `bias` of shape (5); weight decay applies to `weight` only. Weights and
gradients are small binary fractions, which tests/optim/test_golden.cpp makes by the same formula, so that no input is rounded.
Lion and AGC are not in PyTorch: their formulas (arXiv 2302.06675, arXiv 2102.06171) are written out below in numpy. sgd_clip is torch.nn.utils.clip_grad_norm_ followed by torch.optim.SGD.

Usage: python make_optim_golden.py   (needs torch and numpy; writes beside itself)
"""

import pathlib

import numpy as np
import torch

STEPS = 20
SAVED = (1, 2, 20)
SHAPES = ((3, 4), (5,))
COUNT = sum(int(np.prod(s)) for s in SHAPES)

ROWS = [
    ("adam", 1e-2, {}),
    ("adam", 1e-2, {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1}),
    ("adamw", 1e-2, {}),
    ("adamw", 1e-2, {"beta1": 0.85, "beta2": 0.99, "eps": 1e-4, "weight_decay": 0.3}),
    ("rmsprop", 1e-2, {}),
    ("rmsprop", 1e-2, {"alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1}),
    ("rmsprop", 1e-2, {"alpha": 0.95, "eps": 1e-2, "centered": 1}),
    ("rmsprop", 5e-3, {"alpha": 0.9, "eps": 1e-2, "momentum": 0.8, "centered": 1, "weight_decay": 0.1}),
    ("adagrad", 1e-2, {}),
    ("adagrad", 5e-2, {"lr_decay": 0.1, "initial_accumulator": 0.25, "eps": 1e-6, "weight_decay": 0.1}),
    ("adadelta", 1.0, {}),
    ("adadelta", 0.5, {"rho": 0.8, "eps": 1e-4, "weight_decay": 0.1}),
    ("sgd", 1e-2, {}),
    ("sgd", 1e-2, {"momentum": 0.9, "weight_decay": 0.1}),
    ("sgd", 1e-2, {"momentum": 0.8, "dampening": 0.3}),
    ("nesterov", 1e-2, {}),
    ("nesterov", 1e-2, {"momentum": 0.7, "weight_decay": 0.1}),
    ("lion", 1e-3, {}),
    ("lion", 1e-3, {"beta1": 0.8, "beta2": 0.95, "weight_decay": 0.5}),
    ("sgd_clip", 1e-2, {}),
    ("sgd_clip", 1e-1, {"max_norm": 2.5, "momentum": 0.9, "weight_decay": 0.1}),
    ("sgd_clip", 1e-2, {"max_norm": 100.0}),
    ("agc_sgd", 1e-1, {}),
    ("agc_sgd", 1e-2, {"clipping": 0.8, "eps": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
]

DEFAULTS = {
    "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 1e-2},
    "rmsprop": {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": 0},
    "adagrad": {"lr_decay": 0.0, "initial_accumulator": 0.0, "eps": 1e-10},
    "adadelta": {"rho": 0.9, "eps": 1e-6},
    "sgd": {"momentum": 0.0, "dampening": 0.0},
    "nesterov": {"momentum": 0.9},
    "lion": {"beta1": 0.9, "beta2": 0.99},
    "sgd_clip": {"max_norm": 1.0, "momentum": 0.0, "dampening": 0.0},
    "agc_sgd": {"clipping": 0.01, "eps": 1e-3, "momentum": 0.0, "dampening": 0.0},
}


def start():
    return np.array([((i * 37 + 11) % 64 - 32) / 64 for i in range(COUNT)])


def gradient(t):
    """Element 5 never receives any: the division 0 / (0 + eps) and sign(0)."""
    return np.array([0.0 if i == 5 else ((i * 29 + t * 53 + 7) % 97 - 48) / 32 for i in range(COUNT)])


def split(flat):
    parts, at = [], 0
    for shape in SHAPES:
        n = int(np.prod(shape))
        parts.append(flat[at : at + n].reshape(shape))
        at += n
    return parts


def torch_optimizer(name, groups, lr, s):
    betas = (s.get("beta1"), s.get("beta2"))
    o = torch.optim
    if name == "adam":
        return o.Adam(groups, lr=lr, betas=betas, eps=s["eps"])
    if name == "adamw":
        return o.AdamW(groups, lr=lr, betas=betas, eps=s["eps"])
    if name == "rmsprop":
        return o.RMSprop(groups, lr=lr, alpha=s["alpha"], eps=s["eps"], momentum=s["momentum"], centered=bool(s["centered"]))
    if name == "adagrad":
        return o.Adagrad(
            groups, lr=lr, lr_decay=s["lr_decay"], initial_accumulator_value=s["initial_accumulator"], eps=s["eps"]
        )
    if name == "adadelta":
        return o.Adadelta(groups, lr=lr, rho=s["rho"], eps=s["eps"])
    if name == "nesterov":
        return o.SGD(groups, lr=lr, momentum=s["momentum"], nesterov=True)
    return o.SGD(groups, lr=lr, momentum=s["momentum"], dampening=s["dampening"])  # sgd, sgd_clip, agc_sgd


def clip_units(parameters, s):
    """AGC: unit i of W is its i-th row (rank >= 2) or the whole vector."""
    for p in parameters:
        w, g = p.detach().numpy(), p.grad.numpy()
        units = [(w[i], g[i]) for i in range(w.shape[0])] if w.ndim >= 2 else [(w, g)]
        for wi, gi in units:
            limit = s["clipping"] * max(np.sqrt((wi**2).sum()), s["eps"])
            norm = np.sqrt((gi**2).sum())
            if norm > limit:
                gi *= limit / max(norm, 1e-6)


def torch_trajectory(name, lr, s):
    parameters = [torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in split(start())]
    decay = s.get("weight_decay", 0.0)
    groups = [{"params": [parameters[0]], "weight_decay": decay}, {"params": [parameters[1]], "weight_decay": 0.0}]
    optimizer = torch_optimizer(name, groups, lr, s)
    saved = []
    for t in range(1, STEPS + 1):
        for p, g in zip(parameters, split(gradient(t))):
            p.grad = torch.tensor(g, dtype=torch.float64)
        if name == "sgd_clip":
            torch.nn.utils.clip_grad_norm_(parameters, s["max_norm"])
        if name == "agc_sgd":
            clip_units(parameters, s)
        optimizer.step()
        if t in SAVED:
            saved.append(np.concatenate([p.detach().numpy().ravel() for p in parameters]))
    return saved


def lion_trajectory(lr, s):
    w, m, saved = start(), np.zeros(COUNT), []
    decay = np.zeros(COUNT)
    decay[: int(np.prod(SHAPES[0]))] = s.get("weight_decay", 0.0)
    for t in range(1, STEPS + 1):
        g = gradient(t)
        w = w * (1 - lr * decay)
        c = s["beta1"] * m + (1 - s["beta1"]) * g
        assert np.all((c == 0) | (np.abs(c) > 1e-5)), "a sign that rounding could turn"
        w = w - lr * np.sign(c)
        m = s["beta2"] * m + (1 - s["beta2"]) * g
        if t in SAVED:
            saved.append(w)
    return saved


def row_text(name, lr, given):
    s = DEFAULTS[name] | given
    saved = lion_trajectory(lr, s) if name == "lion" else torch_trajectory(name, lr, s)
    settings = ", ".join(f'{{"{k}", {float(v)!r}}}' for k, v in given.items())
    values = ",\n".join("      {" + ", ".join(f"{float(x)!r}" for x in w) + "}" for w in saved)
    return f'    {{"{name}", {lr!r}, {{{settings}}},\n     {{{{\n{values}}}}}}}'


SCHEDULE_BASE = 0.1
SCHEDULES = [  # kind, every, gamma, milestones, min_lr, warm-up steps, length, PyTorch's scheduler
    ("step", 3, 0.1, [], 0.0, 0, 12, lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.1)),
    ("multistep", 1, 0.3, [2, 5, 6], 0.0, 0, 10, lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [2, 5, 6], 0.3)),
    ("cosine", 1, 0.1, [], 0.002, 0, 12, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12, 0.002)),
    # Ours rises as base (k + 1) / W, which is PyTorch's rule with these arguments.
    ("constant", 1, 0.1, [], 0.0, 4, 8, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1 / 4, 1.0, 3)),
]


def schedule_text(kind, every, gamma, milestones, min_lr, warmup, length, make):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=SCHEDULE_BASE)
    scheduler, rates = make(optimizer), []
    for _ in range(length):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    drops = ", ".join(map(str, milestones))
    values = ", ".join(map(repr, rates))
    return f'    {{"{kind}", {every}, {gamma!r}, {{{drops}}}, {min_lr!r}, {warmup},\n     {{{values}}}}}'


def write_schedules(folder):
    rows = ",\n".join(schedule_text(*row) for row in SCHEDULES)
    text = f"""// Generated by make_optim_golden.py with PyTorch {torch.__version__.split("+")[0]}, float64. Do not edit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gridstep::test {{

constexpr double kGoldenBaseRate = {SCHEDULE_BASE!r};

struct ScheduleGolden {{
  std::string kind;
  std::int64_t every;
  double gamma;
  std::vector<std::int64_t> milestones;
  double min_lr;
  std::int64_t warmup_steps;
  std::vector<double> rates;  // of steps 0, 1, ..., all of the run; an epoch is one step
}};

// clang-format off
inline const std::vector<ScheduleGolden> kScheduleGolden = {{
{rows}}};
// clang-format on

}}  // namespace gridstep::test
"""
    (folder / "schedule_golden.h").write_text(text)


def main():
    folder = pathlib.Path(__file__).parent
    write_schedules(folder)
    rows = ",\n".join(row_text(*row) for row in ROWS)
    text = f"""// Generated by make_optim_golden.py with PyTorch {torch.__version__.split("+")[0]}, float64. Do not edit.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

namespace gridstep::test {{

constexpr int kGoldenValues = {COUNT};  // weight (3, 4), then bias (5)
constexpr std::array<int, {len(SAVED)}> kGoldenSteps = {{{", ".join(map(str, SAVED))}}};

struct OptimGolden {{
  std::string optimizer;
  double lr;
  std::map<std::string, double, std::less<>> settings;
  std::array<std::array<double, kGoldenValues>, kGoldenSteps.size()> weights;  // after those steps
}};

// clang-format off
inline const std::vector<OptimGolden> kOptimGolden = {{
{rows}}};
// clang-format on

}}  // namespace gridstep::test
"""
    (folder / "optim_golden.h").write_text(text)


if __name__ == "__main__":
    main()
