"""Write dist/sentiment.zip (for --py-files) and, for each job script and the gate, a self-contained
dist/<script>.py.

The same tree gives the same bytes, whenever and wherever it is packed.
"""

import argparse
import ast
import base64
import hashlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
from sentiment.packing import NAME, zipped

CODE = Path(__file__).resolve().parent.parent / "code"
GATE = "ci-cd/promote-model.py"

# Stands between a script's docstring and the rest of it. The folder is private (0700), so nobody can slip another
# package in between the writing and the import; Spark's workers get the zip from code/sentiment/session.py.
HEADER = '''
# Written by `make package` from {source}: change that file, not this one.


def _unpack_sentiment(encoded: str) -> None:
    import atexit
    import base64
    import shutil
    import sys
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp(prefix="sentiment-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    package = folder / "sentiment-embedded-{digest}.zip"
    package.write_bytes(base64.b64decode(encoded))
    sys.path.insert(0, str(package))


_unpack_sentiment(
    """
{encoded}
"""
)
# From here on: {source}, unchanged.
'''


def self_contained(script: str, source: str, package: bytes, folder: str = "code") -> str:
    """The text `source` of the script named `script` in `folder` with the zip `package` embedded behind its docstring.

    ValueError: the script has no docstring, or a `from __future__` import, which may not stand behind other code.
    """
    tree = ast.parse(source)
    if ast.get_docstring(tree) is None:
        raise ValueError(f"{script}: want a module docstring, which is its --help, found none")
    if any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body):
        raise ValueError(f"{script}: want no import from __future__: the embedded package would stand before it")
    lines = source.splitlines(keepends=True)
    end = tree.body[0].end_lineno
    header = HEADER.format(
        source=f"{folder}/{script}",
        digest=hashlib.sha256(package).hexdigest()[:12],
        encoded=_in_lines(base64.b64encode(package).decode("ascii")),
    )
    return "".join(lines[:end]) + header + "".join(lines[end:])


def _in_lines(text: str, width: int = 116) -> str:
    """Characters without spaces, so many a line: `textwrap` takes two seconds for it, in search of words."""
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))


def contents(root: Path) -> dict[str, bytes]:
    """The zip and the self-contained scripts of the checkout at `root`, by name; Airflow stages them from here."""
    package = zipped(root / "code" / "sentiment")
    made = {NAME: package}
    for script in [*sorted((root / "code").glob("*.py")), root / GATE]:
        source = script.read_text(encoding="utf-8")
        made[script.name] = self_contained(script.name, source, package, script.parent.name).encode("utf-8")
    return made


def write_all(code: Path, output: Path) -> list[Path]:
    """Write what the checkout of the folder `code` packs to into `output`; the files written, in order.

    Each file is there whole or not at all: two deploys at once pack into the same folder.
    """
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in contents(code.parent).items():
        half = output / f".{name}.{os.getpid()}"
        half.write_bytes(content)
        written.append(half.replace(output / name))
    return written


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path("dist"), help="folder to write to (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        for path in write_all(CODE, args.output):
            print(f"{path} ({path.stat().st_size / 1024:.0f} KiB)")
    except ValueError as error:
        sys.exit(f"package.py: error: {error}")


if __name__ == "__main__":
    main()
