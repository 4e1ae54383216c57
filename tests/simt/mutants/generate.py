"""Mutants of CUDA sources: every change of a file stands in one text, behind the switches of switch.h."""

import re
from dataclasses import dataclass

SPACE = "::gridstep::mutants::"


@dataclass
class Edit:
    at: int
    text: str  # # stands for the number of the mutant's first form
    rank: tuple  # order among the edits of one place
    length: int = 0  # of what it stands instead of


def opening(at, end, text, length=0):
    """Text before a part of the source; of two that begin at one place the longer part's comes first."""
    return Edit(at, text, (1, -end), length)


def ending(begin, at, text):
    """Text behind a part of the source; of two that end at one place the shorter part's comes first."""
    return Edit(at, text, (0, -begin))


@dataclass
class Mutant:
    file: str
    line: int
    operator: str
    change: str  # the line, with {before => after} where it changes
    edits: list  # shared by the forms of one mutant
    form: int
    number: int = -1
    key: str = ""


def blank(text):
    """The text with comments, strings and preprocessor lines as spaces, and spaces for ends of lines."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*'
    return re.sub(pattern, lambda m: " " * len(m[0]), text, flags=re.S | re.M).replace("\n", " ")


def closing(code, at):
    """The place of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(code)):
        depth += (code[i] in "([{") - (code[i] in ")]}")
        if depth == 0:
            return i
    raise ValueError("brackets do not match")


def device_functions(code):
    """From the words __device__ and __global__ to the ends of the functions' bodies."""
    regions = []
    for start in re.finditer(r"__(?:device|global)__", code):
        i = start.end()
        while code[i] not in "{;":
            i = closing(code, i) + 1 if code[i] == "(" else i + 1
        if code[i] == "{":
            regions.append((start.end(), closing(code, i) + 1))
    return regions


def compile_time(code):
    """What the compiler evaluates: arguments of templates, constants, assertions, sizes of shared memory."""
    spans = [m.span() for m in re.finditer(r"\w<[^<>;{}()\s][^<>;{}()]*(?:<[^<>]*>)?[^<>;{}()]*>", code)]
    spans += [m.span() for m in re.finditer(r"(?:(?<!if )\bconstexpr|\b(?:static_assert|using|template|SHARED))\b[^;{]*", code)]
    spans += [(m.start(), closing(code, m.end() - 1)) for m in re.finditer(r"\bif constexpr \(", code)]
    return spans


def end_of(code, at, stops=()):
    """Where the expression that begins at `at` ends: before the first of the stops outside its brackets."""
    i = at
    while code[i] not in ")]};," and not any(code.startswith(s, i) for s in stops):
        i = closing(code, i) + 1 if code[i] in "([{" else i + 1
    return len(code[:i].rstrip())


def begin_of(code, at, stops):
    """Where the expression that ends at `at` begins."""
    i, depth = at - 1, 0
    while True:
        if depth == 0 and (code[i] in "([{;," or any(code.startswith(s, i - len(s) + 1) for s in stops)):
            break
        depth += (code[i] in ")]}") - (code[i] in "([{")
        i -= 1
    return i + 1 + re.match(r"\s*(?:return\s+)?", code[i + 1 :]).end()


def operand_end(code, at):
    """Where the name, number, call or bracket that begins at `at` ends."""
    i = at
    while m := re.match(r"::|[\w.]+|<[^<>;{}()\s][^<>;{}()]*>(?=\()", code[i:]):
        i += m.end()
        if code[i] in "([":
            i = closing(code, i) + 1
    return closing(code, at) + 1 if code[at] == "(" else i


CHOICES = (" ? ", " : ")
ASSIGNMENTS = (" = ", " += ", " |= ")
CONDITIONS = (" && ", " || ", *CHOICES)


class Generator:
    def __init__(self, file, text):
        self.file, self.text, self.code, self.mutants = file, text, blank(text), []
        self.regions, self.fixed = device_functions(self.code), compile_time(self.code)

    def is_device(self, at):
        return any(a <= at < b for a, b in self.regions)

    def find(self, pattern):
        live = lambda at: self.is_device(at) and not any(a <= at < b for a, b in self.fixed)
        return [m for m in re.finditer(pattern, self.code) if live(m.start())]

    def add(self, operator, span, forms, *edits):
        """A mutant per form: what stands instead of a span of the source; None: no such mutant."""
        begin, end = self.text.rfind("\n", 0, span[0]) + 1, self.text.find("\n", span[1])
        shared = list(edits)
        for form, after in enumerate(forms):
            if after is not None:
                change = f"{self.text[begin:span[0]]}{{{self.text[slice(*span)]} => {after}}}{self.text[span[1]:end]}"
                line = self.text.count("\n", 0, span[0]) + 1
                self.mutants.append(Mutant(self.file, line, operator, " ".join(change.split()), shared, form))

    def wrap(self, operator, span, forms, before, after):
        self.add(operator, span, forms, opening(*span, before), ending(*span, after))

    def remove_statements(self, operator, beginning):
        for m in self.find(beginning):
            end = end_of(self.code, m.start())
            if self.code[: m.start()].rstrip()[-1] in ";{})" and re.match(r";(?! *else\b)", self.code[end:]):
                self.add(operator, (m.start(), end), [""], opening(m.start(), end + 1, f"if (!{SPACE}on(#)) "))

    def waits(self):
        self.remove_statements("barrier", r"\b__sync(?:threads|warp)\(")
        self.remove_statements("fence", r"\b__threadfence\w*\(")
        self.remove_statements("copy", r"\bptx::cp_async_(?:wait|commit)\b")
        for m in re.finditer(r"\bptx::cp_async_wait<([^>]*)>\(\)", self.code):
            if self.is_device(m.start()):
                choice = f"({SPACE}on(#) ? ptx::cp_async_wait<{m[1]} + 1>() : {m[0]})"
                self.add("copy", m.span(1), [m[1] + " + 1"], opening(*m.span(), choice, len(m[0])))

    def accumulations(self):
        self.remove_statements("accumulate", r"\b[a-z][\w.]*(?:\[[^;=]*?\][\w.]*)* [+|*]= ")
        self.remove_statements("accumulate", r"\+\+\w+(?:\.\w+)?(?=;)")
        self.remove_statements("accumulate", r"\b[a-z][\w.]*(?:\[\w+\])?\.add(?:_\w+)?\(|\b(?:Multiply::apply|ptx::mma_\w+|add)\(")

    def conditions(self):
        for m in self.find(r"\bif \("):
            span = (m.end(), closing(self.code, m.end() - 1))
            leaves = re.match(r"\) \{? *(?:return|break)\b", self.code[span[1] :])
            before = f"!{SPACE}on(#) && (" if leaves else f"{SPACE}on(#) || ("
            self.wrap("guard", span, ["false" if leaves else "true"], before, ")")
        for m in self.find(r" \? "):
            end = len(self.code[: m.start()].rstrip())
            span = (begin_of(self.code, end, CHOICES + ASSIGNMENTS), end)
            self.wrap("choice", span, ["true", "false"], f"{SPACE}choice(#, ", ")")

    def bounds(self):
        for m in self.find(r" (<=?|>=?) "):
            begin = begin_of(self.code, m.start(), CONDITIONS + ASSIGNMENTS)
            end = end_of(self.code, m.end(), CONDITIONS)
            left, right = self.code[begin : m.start()], self.code[m.end() : end]
            forms = [f"{m[1]} {right} + 1", f"{m[1]} {right} - 1"]
            branches = re.match(r"\s+\? (.*?)\s+: (.*?)[;,)}]", self.code[end:])
            if m[1] == "<" and branches and (left, right) == branches.groups():
                forms[0] = None  # the smaller of both, whichever of equals is taken
            self.add("bound", (m.start(1), end), forms, ending(m.end(), end, f" + {SPACE}bound(#)"))
        for m in self.find(r"\bfor \(\w+ \w+ = "):
            end = end_of(self.code, m.end())
            forms = [self.code[m.end() : end] + " + 1"]
            self.add("bound", (m.end(), end), forms, ending(m.end(), end, f" + {SPACE}on(#)"))

    def shuffles(self):
        for m in self.find(r"\b__shfl_\w*sync\("):
            mask = (m.end(), end_of(self.code, m.end()))
            lanes = (end_of(self.code, mask[1] + 1) + 2, closing(self.code, m.end() - 1))
            text = self.code[slice(*lanes)]
            self.wrap("mask", mask, ["no last lane"], f"{SPACE}lanes(#, ", ")")
            self.wrap("shuffle", lanes, [f"2 * ({text})", f"{text} + 1"], f"{SPACE}distance(#, ", ")")

    def atomics(self):
        for m in self.find(r"\b(atomic(?:Add|Inc|CAS))\("):
            edit = opening(*m.span(), f"GS_MUTANT_ATOMIC({m[1]}, #, ", len(m[0]))
            self.add("atomic", m.span(1), ["not " + m[1]], edit)

    def arithmetic(self):
        for m in self.find(r"(?<=\S) +([+-]) (?=\S)"):
            other = "-" if m[1] == "+" else "+"
            self.add("sign", m.span(1), [other], opening(m.end(), m.end(), f"{SPACE}sign(#) * "))
        for m in self.find(r"(?<=\S) +([%&]) (?=\S)"):
            span = (m.end(), operand_end(self.code, m.end()))
            name, forms = ("modulus", "twice that") if m[1] == "%" else ("bits", "without its lowest bit")
            self.wrap("mask", span, [forms], f"{SPACE}{name}(#, ", ")")

    def run(self):
        for step in (self.waits, self.accumulations, self.conditions, self.bounds, self.shuffles, self.atomics,
                     self.arithmetic):
            step()
        self.mutants.sort(key=lambda m: (m.line, m.edits[0].at, m.operator, m.form))
        seen = {}
        for m in self.mutants:
            text = f"{m.file} | {m.operator} | {m.change}"
            seen[text] = seen.get(text, 0) + 1
            m.key = text if seen[text] == 1 else f"{text} | {seen[text]}"
        return self.mutants


def mutants_of(file, text):
    return Generator(file, text).run()


def number(mutants):
    """Gives every mutant its number; the forms of one follow each other."""
    first = {}
    for m in mutants:
        m.number = first.setdefault(id(m.edits), 2 * len(first)) + m.form


def with_switches(text, mutants):
    """The text with all its mutants."""
    edits = {}
    for m in mutants:
        for e in m.edits:
            edits[id(e)] = (e.at, e.rank, e.length, e.text.replace("#", str(m.number - m.form)))
    parts, at = [], 0
    for place, _, length, new in sorted(edits.values()):
        parts += [text[at:place], new]
        at = place + length
    return "".join(parts) + text[at:]
