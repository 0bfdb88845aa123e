"""Figures of the code, counted from the files themselves: `python -m tests.figures [--root PATH] [--list]`.

Depends on no layout: `change_apply` is looked for wherever it stands, so that an older checkout can be counted too.
"""

import ast
import re
import sys
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent
LONG_FUNCTION = 40  # lines
LONG_LINE = 120  # columns
SETTLED_COLUMN = "event_id"  # of the outcome: written by the one function that records how a change ended
START = "change_apply"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef

# Top-level names that each module, command, app or template library has by a convention of Python or Django.
CONVENTIONAL = frozenset({"log", "register", "urlpatterns", "app_name", "router", "Command"})

# Words that open a docstring and are no verb. A word that may be either ("record") counts as a verb.
NOT_VERBS = re.compile(
    r"a|all|an|and|another|any|as|at|before|both|by|each|either|every|everything|for|from|how|"
    r"if|in|it|its|last|many|neither|no|nobody|none|not|nothing|of|on|one|only|other|same|"
    r"since|so|some|somebody|something|such|that|the|their|there|these|they|this|those|three|to|"
    r"two|until|what|whatever|when|where|whether|which|whichever|who|whoever|whom|whose|why|with|"
    r"without|you"
)
HAND = re.compile(r"""(?:href|action|formaction|hx-[a-z]+|data-[a-z-]+)=["']/(?=[a-z{"'])""")
NAMED = re.compile(r"\{%\s*url\s")
HAND_IN_PYTHON = re.compile(r"/[a-z]")
RESOLVERS = frozenset({"reverse", "reverse_lazy", "resolve_url"})


@dataclass(frozen=True)
class Module:
    """One source file: its path from the root, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, FUNCTIONS))

    @cached_property
    def top_level(self) -> dict[str, ast.stmt]:
        """Return the names that this module itself defines: functions, classes and constants."""
        return {name: node for node in self.tree.body for name in names_defined(node)}


@dataclass(frozen=True)
class Code:
    """The source files and templates of the product below one folder."""

    root: Path
    modules: list[Module] = field(default_factory=list)
    templates: dict[str, str] = field(default_factory=dict)


def code_read(root: Path = ROOT) -> Code:
    """Read the product below root: all of pbxadmin/ and ivr/ but migrations, and the templates."""
    files = sorted(path for package in ("pbxadmin", "ivr") for path in (root / package).rglob("*.py"))
    texts = {str(path.relative_to(root)): path.read_text() for path in files if "migrations" not in path.parts}
    templates = sorted(path for path in (root / "templates").rglob("*") if path.is_file())
    return Code(
        root,
        [Module(path, text, ast.parse(text)) for path, text in texts.items()],
        {str(path.relative_to(root)): path.read_text() for path in templates},
    )


def names_defined(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a top-level statement gives a meaning to. An import gives none of its own."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        yield from (
            part.id for part in ast.walk(target) if isinstance(part, ast.Name) and part.ctx.__class__ is ast.Store
        )


def homonyms(code: Code) -> dict[str, list[str]]:
    """Return each top-level name that stands in several modules, with these; conventional names aside."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in code.modules:
        for name in module.top_level:
            if name not in CONVENTIONAL and not name.startswith("__"):
                places[name].append(module.path)
    return {name: paths for name, paths in sorted(places.items()) if len(paths) > 1}


# --- functions ---


def is_annotated(function: Function) -> bool:
    """Tell whether each argument but self and cls, and what is returned, has a type."""
    wanted = function.args
    named = [*wanted.posonlyargs, *wanted.args, *wanted.kwonlyargs, *filter(None, (wanted.vararg, wanted.kwarg))]
    return function.returns is not None and all(one.annotation or one.arg in ("self", "cls") for one in named)


def lines_of(function: Function) -> int:
    """Return the lines of a function from `def` to its end, with its docstring and without decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def odd_docstrings(code: Code) -> list[str]:
    """Return where a docstring of a function opens with a word that is no verb, and how it opens."""
    found = []
    for module in code.modules:
        for function in module.functions:
            words = (ast.get_docstring(function) or "").split()
            if words and NOT_VERBS.fullmatch(re.sub(r"\W+", "", words[0]).lower()):
                found.append(f"{module.path}:{function.lineno} {function.name}: {' '.join(words[:6])}")
    return found


# --- addresses ---


def docstrings_in(tree: ast.Module) -> set[int]:
    """Return the ids of the constants that are texts on their own, as docstrings are."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def addresses_by_hand(code: Code) -> list[str]:
    """Return where an address of ours is written out: in an attribute of a template, or as a text that opens with /."""
    lines = ((path, *line) for path, text in code.templates.items() for line in enumerate(text.splitlines(), 1))
    found = [f"{path}:{number}" for path, number, line in lines for _ in HAND.findall(line)]
    for module in code.modules:
        inner = docstrings_in(module.tree)
        for node in ast.walk(module.tree):  # the later parts of an f-string are no beginning of a text
            inner |= {id(part) for part in node.values[1:]} if isinstance(node, ast.JoinedStr) else set()
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                is_file = "/yeastar/" in module.path or module.path.endswith(("urls.py", "env.py"))
                if HAND_IN_PYTHON.match(node.value) and not is_file:
                    found.append(f"{module.path}:{node.lineno} {node.value}")
    return found


def addresses_by_name(code: Code) -> int:
    """Count the addresses that are made from the name of a route."""
    calls = [node for module in code.modules for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    routes = [node for node in calls if name_called(node) in RESOLVERS or is_named_redirect(node)]
    return len(routes) + sum(len(NAMED.findall(text)) for text in code.templates.values())


def is_named_redirect(call: ast.Call) -> bool:
    """Tell whether a call redirects to the name of a route, not to an address or an object."""
    first = call.args[0] if call.args else None
    is_name = isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("/")
    return name_called(call) == "redirect" and is_name


# --- the change path ---


def name_called(call: ast.Call) -> str:
    """Return the name that is called: `settle` for settle(...) and for outcomes.settle(...)."""
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def calls_in(function: Function) -> list[ast.Call]:
    return [node for node in ast.walk(function) if isinstance(node, ast.Call)]


def names_used(function: Function) -> set[str]:
    """Return the names and attributes that a function calls or hands on."""
    return {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} | set(
        map(name_called, calls_in(function))
    )


def ivr_functions(code: Code) -> dict[str, tuple[Module, Function]]:
    """Return the top-level functions of the package ivr by name, where they stand beside them."""
    return {
        name: (module, node)
        for module in code.modules
        if module.path.startswith("ivr/") and "/views/" not in module.path and "/templatetags/" not in module.path
        for name, node in module.top_level.items()
        if isinstance(node, FUNCTIONS)
    }


def led_through(functions: dict[str, tuple[Module, Function]], start: str) -> list[str]:
    """Return the functions that `start` reaches, itself among them."""
    reached, ahead = [], [start]
    while ahead:
        name = ahead.pop()
        if name in functions and name not in reached:
            reached.append(name)
            ahead += names_used(functions[name][1])
    return reached


def recorders(functions: dict[str, tuple[Module, Function]]) -> set[str]:
    """Return the functions that record how a change ended: the one that writes it, and its form with a spool."""
    writes = {
        name
        for name, (_, node) in functions.items()
        if any(isinstance(key, ast.Constant) and key.value == SETTLED_COLUMN for key in keys_of(node))
        or any(word.arg == SETTLED_COLUMN for call in calls_in(node) for word in call.keywords)
    }
    return writes | {name for name in functions if any(name.startswith(f"{each}_or_") for each in writes)}


def keys_of(function: Function) -> Iterator[ast.expr | None]:
    return (key for node in ast.walk(function) if isinstance(node, ast.Dict) for key in node.keys)


def recordings(functions: dict[str, tuple[Module, Function]], callers: list[str]) -> list[str]:
    """Return where these callers record how a change ended; a recorder that calls another one is no such place."""
    named = recorders(functions)
    return [
        f"{functions[caller][0].path}:{call.lineno} {caller}"
        for caller in callers
        if caller not in named
        for call in calls_in(functions[caller][1])
        if name_called(call) in named
    ]


# --- printing ---


def figures(code: Code) -> Iterator[str]:
    """Yield the figures, a line each."""
    functions = [function for module in code.modules for function in module.functions]
    lengths = [lines_of(function) for function in functions]
    p90, over = quantiles(lengths, n=10)[-1], sum(length > LONG_FUNCTION for length in lengths)
    spread = f"median {median(lengths):g}, p90 {p90:g}, max {max(lengths)}"
    yield f"lines per function    {spread}, {over} over {LONG_FUNCTION}"
    annotated = sum(map(is_annotated, functions))
    yield f"annotated             {annotated} of {len(functions)} functions, {annotated / len(functions):.1%}"
    lines = [line for text in code.templates.values() for line in text.splitlines()]
    wide = [len(line) for line in lines if len(line) > LONG_LINE]
    share, widest = len(wide) / len(lines), max(map(len, lines))
    yield f"template lines        {len(wide)} of {len(lines)} over {LONG_LINE} columns, {share:.1%}, longest {widest}"
    yield from figures_of_the_change_path(code)
    double = homonyms(code)
    constants = sum(name.isupper() for name in double)
    yield f"homonyms              {len(double)} top-level names in two or more modules, {constants} of them constants"
    yield f"addresses             {len(addresses_by_hand(code))} by hand, {addresses_by_name(code)} by name"
    documented = sum(ast.get_docstring(function) is not None for function in functions)
    yield f"docstrings            {len(odd_docstrings(code))} of {documented} of functions open with no verb"


def figures_of_the_change_path(code: Code) -> Iterator[str]:
    functions = ivr_functions(code)
    module, _ = functions[START]
    reached = led_through(functions, START)
    here = [name for name in reached if functions[name][0] is module]
    yield f"{START}          {module.path}, {module.lines} lines (goal: under 150)"
    yield f"                      leads through {len(here)} functions of that file, {len(reached)} of the package"
    by_apply, by_all = recordings(functions, reached), recordings(functions, list(functions))
    yield f"recordings            from {len(by_apply)} places after {START}, from {len(by_all)} in all (goal: 3)"


def details(code: Code) -> Iterator[str]:
    """Yield each single place behind the figures that somebody may want to mend."""
    functions = ivr_functions(code)
    yield from ["", "Recordings:", *recordings(functions, list(functions))]
    yield from ["", "Homonyms:", *(f"{name}: {', '.join(paths)}" for name, paths in homonyms(code).items())]
    yield from ["", "Addresses by hand:", *addresses_by_hand(code)]
    yield from ["", "Docstrings that open with no verb:", *odd_docstrings(code)]


def main() -> None:
    parser = ArgumentParser(prog="python -m tests.figures", description="Figures of the code.")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout to count")
    parser.add_argument("--list", action="store_true", help="also list each place behind the figures")
    options = parser.parse_args()
    code = code_read(options.root.resolve())
    lines = [*figures(code), *(details(code) if options.list else ())]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
