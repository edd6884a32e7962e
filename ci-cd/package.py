"""Write dist/sentiment.zip (for --py-files) and, for each job script and the gate, a self-contained
dist/<script>.py.

The same tree gives the same bytes, whenever and wherever it is packed. With --revision: write nothing, say under which
revision the tree is staged.
"""

import argparse
import ast
import base64
import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "code"))
from sentiment.lines import printable
from sentiment.packing import NAME, zipped

CODE = Path(__file__).resolve().parent.parent / "code"
GATE = "ci-cd/promote-model.py"
FOR_CLUSTERS = ("ci-cd/init-actions/init-conda-spark-nlp-mlflow.sh", "requirements-cluster.txt")
"""What a cluster is made with; staged as it is, beside what is packed."""

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
    """The zip and the self-contained scripts of the checkout at `root`, by name."""
    package = zipped(root / "code" / "sentiment")
    made = {NAME: package}
    for script in [*sorted((root / "code").glob("*.py")), root / GATE]:
        source = script.read_text(encoding="utf-8")
        made[script.name] = self_contained(script.name, source, package, script.parent.name).encode("utf-8")
    return made


def staged(root: Path) -> dict[str, bytes]:
    """All that jobs and clusters take from gs://<code bucket>/code/<revision>/, by name."""
    return {**contents(root), **{path.name: path.read_bytes() for path in map(root.joinpath, FOR_CLUSTERS)}}


def revision(root: Path) -> str:
    """12 hex digits of the commit; where what is staged differs from it, with -dirty- and 8 digits of the content.

    A copy without git counts as one that differs from a commit of zeros. Without a difference nothing is packed.
    """
    sources = ["code", GATE, "ci-cd/package.py", *FOR_CLUSTERS]
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", *sources)
    except (OSError, subprocess.CalledProcessError):
        commit, changed = "0" * 12, "a copy without git"
    if not changed:
        return commit
    files = staged(root)
    content = hashlib.sha256(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()
    return f"{commit}-dirty-{content[:8]}"


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def write_all(code: Path, output: Path) -> list[Path]:
    """Write what the checkout of the folder `code` packs to into `output`; the files written, in order.

    Each file is there whole or not at all, and two deploys at once, which pack into the same folder, write one after
    the other: what one that was killed has left half written, the next one replaces.

    ValueError: `output` is no folder that can be written to, or a script cannot be packed.
    """
    made = contents(code.parent)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with _alone_in(output):
            for name, content in made.items():
                half = output / f".{name}.half"
                half.write_bytes(content)
                half.replace(output / name)
    except OSError as error:
        raise ValueError(f"--output: want a folder to write to, got {printable(output)}: {error.strerror}") from error
    return [output / name for name in made]


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path("dist"), help="folder to write to (default: %(default)s)")
    parser.add_argument("--revision", action="store_true", help="say the revision instead")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        if args.revision:
            print(revision(CODE.parent))
            return
        for path in write_all(CODE, args.output):
            print(f"{printable(path)} ({path.stat().st_size / 1024:.0f} KiB)")
    except ValueError as error:
        sys.exit(f"package.py: error: {error}")


if __name__ == "__main__":
    main()
