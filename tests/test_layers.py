"""The architecture: which package may import which, and how long a module may be."""

import ast
from pathlib import Path

import pytest

import bart_pogmdm

PACKAGE = Path(bart_pogmdm.__file__).parent
LAYERS = ("arrays", "physics", "files", "prior", "algorithms", "reconstruction", "toolbox", "plot", "evaluate", "train",
          "volume", "serve", "commands")  # a package imports from those before it
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
HOMES = {"torch": ("train", "evaluate/networks.py"), "matplotlib": ("plot", "evaluate"), "distributed": ("volume",)}
MOST_LINES = 250


def imported(path):
    """(module, whether the import is at the top of the file) for each import, relative ones as bart_pogmdm.…"""
    tree = ast.parse((PACKAGE / path).read_text())
    typing_only = {id(node) for block in ast.walk(tree) if isinstance(block, ast.If)
                   and getattr(block.test, "id", "") == "TYPE_CHECKING" for node in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        at_top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = ["bart_pogmdm", *path.parts[:-1]]
            base = ".".join(parts[:len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            for alias in node.names:
                inside = (PACKAGE.parent / module.replace(".", "/") / f"{alias.name}.py").exists()
                yield f"{module}.{alias.name}" if inside or (node.level and not node.module) else module, at_top


def test_every_package_has_its_layer():
    assert {path.parts[0] for path in MODULES if len(path.parts) > 1} == set(LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_package_imports_from_those_before_it(path):
    if len(path.parts) == 1:  # the package itself and its __main__ hand on the commands
        return
    allowed = LAYERS[:LAYERS.index(path.parts[0]) + 1]
    for module, at_top in imported(path):
        if module.startswith("bart_pogmdm."):
            layer = module.split(".")[1]
            # `Result.plot` is for notebooks: it needs the pictures when it is called, not before.
            is_plot = str(path) == "reconstruction/result.py" and layer == "plot" and not at_top
            assert layer in allowed or layer == "version" or is_plot, f"{path} imports {module}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_heavy_packages_stay_in_their_rooms(path):
    for module, at_top in imported(path):
        for package, homes in HOMES.items():
            if module.split(".")[0] == package:
                assert str(path).startswith(homes), f"{path} imports {module}"
                assert not at_top or package != "matplotlib", f"{path} imports {module} at its top"


def test_modules_do_not_import_each_other_in_a_circle():
    files = {".".join(("bart_pogmdm", *path.with_suffix("").parts)).removesuffix(".__init__"): path for path in MODULES}
    below = {name: {module for module, _ in imported(path) if module in files and module != name}
             for name, path in files.items() if path.name != "__init__.py"}

    def reach(name, seen):
        for module in below.get(name, ()):
            if module not in seen:
                seen.add(module)
                reach(module, seen)
        return seen

    assert not [name for name in below if name in reach(name, set())]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_is_long(path):
    assert len((PACKAGE / path).read_text().splitlines()) <= MOST_LINES
