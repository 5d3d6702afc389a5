"""The house: rooms stand in an order and import only from rooms before them; sizes stay small."""

import ast
import subprocess
import sys
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).parent.parent / "src" / "metareward"
ROOMS = [
    "errors",
    "display",
    "secrets",
    "supervision",
    "files",
    "events",
    "ids",
    "disk",
    "settings",
    "watchdog",
    "reasoning",
    "records",
    "given",
    "readers",
    "fences",
    "templates",
    "store",
    "provenance",
    "models",
    "engines",
    "stats",
    "answers",
    "stages",
    "train",
    "history",
    "unread",
    "asking",
    "runner",
    "run",
    "paper",
    "problems",
    "rows",
    "conversations",
    "sources",
    "attack",
    "evaluate",
    "eft",
    "recipes",
    "simulate",
    "samples",
    "summary",
    "tracking",
    "overlay",
    "options",
    "config",
    "lab",
    "rundir",
    "ledger",
    "show",
    "diff",
    "export",
    "inputs",
    "prompting",
    "machinery",
    "session",
    "cli",
]
HEAVY = {"torch", "transformers", "trl", "accelerate", "datasets", "peft", "gguf", "safetensors", "sklearn"}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "metareward":
            found |= {f"metareward.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_every_file_has_a_room():
    assert {room_of(path) for path in FILES} - {"__main__"} == set(ROOMS)


def test_rooms_import_only_from_rooms_before_them():
    for path in (path for path in FILES if path.name != "__main__.py"):
        for name in imports(path):
            if name.startswith("metareward."):
                room = name.split(".")[1]
                assert ROOMS.index(room) <= ROOMS.index(room_of(path)), f"{path.name} imports {name}"


def test_one_importer_each():
    """The store alone knows Parquet (with those that read it in columns), a file a kind of training TRL."""
    trl = [path.name for path in FILES if any(name.split(".")[0] == "trl" for name in imports(path))]
    assert len(trl) == 2, trl  # preference pairs, and answers
    arrow = {
        room_of(path) for path in FILES if any(name.split(".")[0] == "pyarrow" for name in imports(path))
    }
    assert arrow <= {"store", "rows", "export", "show"}


def test_stats_and_stages_never_touch_a_model():
    for path in FILES:
        if room_of(path) in ("stats", "stages", "recipes", "summary", "store"):
            assert not HEAVY & {name.split(".")[0] for name in imports(path)}, path


def test_importing_the_package_loads_nothing_heavy():
    code = f"import metareward, metareward.session, sys; print(sorted({HEAVY!r} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_every_public_name_can_be_had():
    import metareward

    for name in metareward.__all__:
        assert getattr(metareward, name) is not None


def test_files_and_functions_fit_on_a_screen():
    lengths = []
    for path in FILES:
        text = path.read_text()
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append(((node.end_lineno or 0) - node.lineno + 1, f"{path.name}:{node.name}"))
    lengths.sort()
    sizes = [size for size, _ in lengths]
    assert median(sizes) <= 12
    assert sizes[int(0.9 * len(sizes))] <= 35, lengths[-12:]
    assert sizes[-1] <= 80, lengths[-1]
