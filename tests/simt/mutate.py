#!/usr/bin/env python3
"""Mutants of the CUDA kernels against the SIMT harness's tests (docs/simt.md, Mutants). A developer's tool.

All mutants stand in one program per variant, which MUTANT=<number> chooses from: the changed copies of the sources are
compiled with the commands of an existing build, whose other objects are linked as they are. A mutant runs the tests of
its file in the plain variant, then under ASan and UBSan, then under TSan, until one fails, crashes or takes too long.
"""

import argparse
import json
import os
import random
import re
import resource
import shlex
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE / "mutants"))
import generate  # noqa: E402

NORM = ["batch normalisation", "batch normalisation of *", "batch normalisation with *"]
GEMM = [f"own convolution: {name}*"
        for name in ("a NaN", "a fused", "more stages", "sums of its", "operands", "whole", "every", "sums near")]
EPILOGUE = ["the epilogue *"]
GRADIENTS = [f"own gradients in bfloat16: {name}*"
             for name in ("NaN", "phases", "several", "replicas", "whole", "on codes", "on floats")]
QUANTIZERS = ["quantizers of *", "a NaN becomes code 0 *", "memory off the vector grid*"]
OPTIMIZERS = ["codes of replicas *", "segments of *", "gradients that *", "every optimizer on *", "more tiles *",
              "every optimizer writes *"]

# Every file with mutants, and the tests that see it, the quick ones first.
FILES = {
    "kernels/common/reduce.cuh": ["image losses", "softmax *", "quantizers of awkward *", "image quality"],
    "kernels/softmax_cross_entropy/softmax_cross_entropy_cuda.cu": ["softmax cross-entropy"],
    "kernels/image_loss/image_loss_cuda.cu": ["image losses", "image losses off *"],
    "kernels/psnr/psnr_cuda.cu": ["image quality"],
    "kernels/ssim/ssim_cuda.cu": ["image quality"],
    "kernels/global_avg_pool/global_avg_pool_cuda.cu": ["pools"],
    "kernels/quantize/quantize_cuda.cu": QUANTIZERS,
    "kernels/quantize/quantize.cuh": QUANTIZERS + EPILOGUE + NORM[1:] + ["own convolution: a *"],
    "kernels/batch_norm/norm_blocks.cuh": NORM,
    "kernels/batch_norm/batch_norm_cuda.cu": NORM,
    "kernels/batch_norm/batch_norm_backward_cuda.cu": NORM,
    "optim/norms.cuh": OPTIMIZERS,
    "optim/step_cuda.cu": OPTIMIZERS,
    "kernels/conv2d/implicit_gemm.cuh": GEMM + GRADIENTS,
    "kernels/conv2d/stage_pipeline.cuh": GEMM + GRADIENTS,
    "kernels/conv2d/implicit_gemm_cuda.cu": GEMM,
    "kernels/conv2d/conv_epilogue.cuh": EPILOGUE + GEMM,
    "kernels/conv2d/bf16_operands_cuda.cu": GRADIENTS,
    "kernels/conv2d/data_gradient_cuda.cu": GRADIENTS,
    "kernels/conv2d/weight_gradient_cuda.cu": GRADIENTS,
    "kernels/conv2d/conv2d_cuda.cu": ["codes become floats*", "gradients of bias*", "scaled weights*"] + EPILOGUE,
}
VARIANTS = {"plain": "", "asan": "_asan", "tsan": "_tsan"}
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
    "TSAN_OPTIONS": "halt_on_error=1",
}


def all_mutants():
    mutants = []
    for file in FILES:
        mutants += generate.mutants_of(file, (ROOT / file).read_text())
    generate.number(mutants)
    return mutants


def equivalents():
    """Keys of mutants that change nothing a test could see; the reasons stand in the file's comments. They do not run."""
    lines = (HERE / "mutants" / "equivalent.txt").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def chosen_mutants(mutants, options):
    """Those of the files asked for; with --sample so many of each file and operator, by the seed."""
    wanted = [m for m in mutants if any(f in m.file for f in options.file or [""])]
    if options.sample is None:
        return wanted
    groups = {}
    for m in wanted:
        groups.setdefault((m.file, m.operator), []).append(m)
    kept = set()
    for (file, operator), group in groups.items():
        draw = random.Random(f"{options.seed} {file} {operator}")
        kept.update(m.number for m in draw.sample(group, min(options.sample, len(group))))
    return [m for m in wanted if m.number in kept]


# ---- one program per variant with all mutants


def includes(path, known):
    """The project's files that a source includes, itself among them."""
    if path not in known:
        known[path] = {path}
        for name in re.findall(r'^#include "([^"]+)"', (ROOT / path).read_text(), flags=re.M):
            if (ROOT / name).is_file():
                known[path] = known[path] | includes(name, known)
    return known[path]


def changed_object(command, source, scratch, copies):
    """The command that compiles the copy of a source with the copies of its headers, and the object it makes."""
    words = shlex.split(command)
    at = next(i for i, w in enumerate(words) if "++" in Path(w).name and Path(w).name != "ccache")
    place = words.index("-o") + 1
    target = scratch / words[place]
    target.parent.mkdir(parents=True, exist_ok=True)
    words[place] = str(target)
    for option in ("-MF", "-MT"):
        if option in words:
            words[words.index(option) + 1] = f"{target}.d"
    words[words.index("-c") + 1] = str(copies / source)
    added = [f"-I{copies}", f"-I{(ROOT / source).parent}", "-include", str(HERE / "mutants" / "switch.h"), "-w"]
    return words[: at + 1] + added + words[at + 1 :], target


def build(options, scratch, mutants):
    """The variants' programs, with all mutants."""
    copies = scratch / "sources"
    for file in FILES:
        (copies / file).parent.mkdir(parents=True, exist_ok=True)
        text = generate.with_switches((ROOT / file).read_text(), [m for m in mutants if m.file == file])
        (copies / file).write_text(text)
    known, jobs, objects = {}, [], {}
    suffixes = [VARIANTS[v] for v in options.variant]
    for entry in json.loads(subprocess.check_output(["ninja", "-C", options.build, "-t", "compdb"])):
        source = os.path.relpath(os.path.join(entry["directory"], entry["file"]), ROOT)
        target = re.search(r"\bsimt_kernels(\w*)\.dir/", entry["output"])
        if not target or target[1] not in suffixes or not includes(source, known) & set(FILES):
            continue
        if source not in FILES:
            (copies / source).parent.mkdir(parents=True, exist_ok=True)
            (copies / source).write_text((ROOT / source).read_text())
        command, target = changed_object(entry["command"], source, scratch, copies)
        objects[entry["output"]] = target
        jobs.append(command)

    def compile_one(command):
        subprocess.run(command, cwd=options.build, check=True)

    print(f"compiling {len(jobs)} objects", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(compile_one, jobs))
    return link(options, scratch, objects)


def link(options, scratch, objects):
    programs = {}
    for variant in options.variant:
        name = f"tests/simt/test_simt{VARIANTS[variant]}"
        commands = subprocess.check_output(["ninja", "-C", options.build, "-t", "commands", name], text=True)
        program = scratch / Path(name).name
        command = commands.splitlines()[-1].replace(f"-o {name} ", f"-o {program} ")
        words = [str(objects.get(word, word)) for word in command.split(" ")]
        subprocess.run(" ".join(words), shell=True, cwd=options.build, check=True)
        programs[variant] = program
    return programs


# ---- runs


def run_one(program, test, mutant, limit, log):
    """Whether a test passed, and the seconds of CPU it took; `limit` of those, and wall time in proportion."""
    environment = {**os.environ, **ENVIRONMENT, "LD_LIBRARY_PATH": str(program.parent.parent)}
    if mutant is not None:
        environment["MUTANT"] = str(mutant)
    set_limits = lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    with open(log, "w") as out:
        child = subprocess.Popen([program, test, "--abort"], env=environment, stdout=out, stderr=out, preexec_fn=set_limits)
        timer = threading.Timer(60 + 60 * limit, child.kill)
        timer.start()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
    return child.returncode == 0, used.ru_utime + used.ru_stime


def run_tests(program, tests, mutant, limits, log):
    """Whether all tests passed, in their order until one does not, and the seconds of CPU that each took."""
    seconds = []
    for test, limit in zip(tests, limits):
        passed, used = run_one(program, test, mutant, limit, log)
        seconds.append(used)
        if not passed:
            return False, seconds
    return True, seconds


class Limits:
    """Of CPU time for each test of a file in a variant: a multiple of what the original takes, which must pass."""

    def __init__(self, programs, scratch):
        self.programs, self.scratch, self.known, self.lock = programs, scratch, {}, threading.Lock()

    def of(self, file, variant):
        key = (variant, *FILES[file])
        with self.lock:
            if key not in self.known:
                log = self.scratch / f"original_{variant}.log"
                passed, seconds = run_tests(self.programs[variant], FILES[file], None, [3600] * len(FILES[file]), log)
                if not passed:
                    sys.exit(f"the original fails in the variant {variant}: {log}")
                self.known[key] = [int(5 + 3 * s) for s in seconds]
            return self.known[key]


def killer(mutant, programs, limits, scratch):
    """The first variant that finds the mutant; None: it survives."""
    for variant, program in programs.items():
        log = scratch / f"log_{threading.get_ident()}.txt"
        passed, _ = run_tests(program, FILES[mutant.file], mutant.number, limits.of(mutant.file, variant), log)
        if not passed:
            return variant
    return None


def report(mutants, results, same):
    """Prints the tables; equivalent mutants count neither as killed nor as survivors."""
    rows, operators = {}, {}
    for m in mutants:
        outcome = "equivalent" if m.key in same else results[m.key]
        for group, name in ((rows, m.file), (operators, m.operator)):
            group.setdefault(name, Counter())[outcome] += 1
    for title, group in (("file", rows), ("operator", operators)):
        total = sum(group.values(), Counter())
        print(f"\n| {title} | mutants | plain | asan | tsan | survived | equivalent | killed |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, c in [*group.items(), ("all", total)]:
            killed = sum(c[v] for v in VARIANTS)
            counts = " | ".join(str(c[k]) for k in (*VARIANTS, "survived", "equivalent"))
            share = f"{100 * killed / (killed + c['survived']):.1f} %" if killed + c["survived"] else "-"
            print(f"| {name} | {sum(c.values())} | {counts} | {share} |")
    print()
    for m in mutants:
        if m.key not in same and results[m.key] == "survived":
            print(f"survived, line {m.line}: {m.key}")


def read_results(path):
    """What calls before found, by key: a kill, or else that the mutant survived."""
    results = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        outcome, key = line.split("\t", 1)
        if results.get(key) not in VARIANTS:
            results[key] = outcome
    return results


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build/simt",
                        help="a Ninja build with test_simt, test_simt_asan and test_simt_tsan (build/simt)")
    parser.add_argument("--file", action="append", help="part of a file's path; may be repeated")
    parser.add_argument("--sample", type=int, help="so many mutants of every file and operator; else all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--variant", action="append", choices=VARIANTS, help="instead of all; may be repeated")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="print the mutants and do nothing")
    parser.add_argument("--linked", action="store_true", help="use the programs of the last call")
    parser.add_argument("--keep", action="store_true",
                        help="run only what the last calls did not kill; the tables are of all")
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.variant = options.variant or list(VARIANTS)
    return options


def main():
    options = parse_arguments()
    mutants = all_mutants()
    same = equivalents()
    unknown = same - {m.key for m in mutants}
    if unknown:
        sys.exit("equivalent.txt names mutants that are none:\n" + "\n".join(sorted(unknown)))
    chosen = chosen_mutants(mutants, options)
    if options.list:
        for m in chosen:
            print(f"{m.number}\tline {m.line}\t{m.key}")
        return
    scratch = options.build / "mutants"
    scratch.mkdir(exist_ok=True)
    if options.linked:
        programs = {v: scratch / f"test_simt{VARIANTS[v]}" for v in options.variant}
    else:
        programs = build(options, scratch, mutants)
    record = scratch / "results.tsv"
    results = read_results(record) if options.keep else {}
    limits = Limits(programs, scratch)
    with open(record, "a" if options.keep else "w", buffering=1) as out, ThreadPoolExecutor(options.jobs) as pool:

        def judge(m):
            if m.key in same or results.get(m.key) in VARIANTS:
                return
            results[m.key] = killer(m, programs, limits, scratch) or "survived"
            out.write(f"{results[m.key]}\t{m.key}\n")

        list(pool.map(judge, chosen))
    report(chosen, results, same)


if __name__ == "__main__":
    main()
