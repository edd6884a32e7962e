"""What a machine without internet installs from: an installer with Miniconda's interface, wheels of what is here.

Miniconda itself comes from no package registry, so its place is taken by a real interpreter, the one that runs the
tests, in a self-extracting script: `bash installer.sh -b -p FOLDER`.
"""

import shutil
import sys
import sysconfig
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

HEADER = """\
#!/bin/sh
# The options of Miniconda's installer that an unattended installation gives: -b, -p FOLDER.
[ "$1" = -b ] && [ "$2" = -p ] && [ -n "$3" ] || { echo "usage: $0 -b -p FOLDER" >&2; exit 2; }
[ ! -e "$3" ] || { echo "ERROR: File or directory already exists: '$3'" >&2; exit 1; }
mkdir -p "$3" && sed '1,/^exit 0$/d' "$0" | tar xz -C "$3" || exit 1
exit 0
"""
SKIPPED = {"site-packages", "dist-packages", "test", "tests", "__pycache__", "idlelib", "tkinter", "turtledemo"}


def write_installer(path: Path, folder: Path) -> None:
    """Write an installer of the interpreter that runs the tests; `folder` is for its tree."""
    library = Path(sysconfig.get_path("stdlib"))
    name = library.name
    shutil.copytree(library, folder / "lib" / name, ignore=lambda _, names: SKIPPED & set(names), symlinks=True)
    for shared in Path(sysconfig.get_config_var("LIBDIR")).glob(f"lib{name}.so*"):
        shutil.copy2(shared, folder / "lib", follow_symlinks=False)
    (folder / "bin").mkdir()
    binary = folder / "bin" / name
    binary.write_bytes(_movable(Path(sys.executable).resolve().read_bytes()))
    binary.chmod(0o755)
    for link in ("python3", "python"):
        (folder / "bin" / link).symlink_to(name)
    payload = path.with_suffix(".tar.gz")
    with tarfile.open(payload, "w:gz", compresslevel=1) as archive:
        archive.add(folder, ".")
    path.write_bytes(HEADER.encode() + payload.read_bytes())
    payload.unlink()


def _movable(binary: bytes) -> bytes:
    """The interpreter with its library looked for beside itself, as Miniconda's does, not where it was built."""
    built = sysconfig.get_config_var("LIBDIR").encode() + b"\0"
    beside = b"$ORIGIN/../lib\0"
    assert len(built) >= len(beside)
    return binary.replace(b"\0" + built, b"\0" + beside.ljust(len(built), b"\0"))


def write_wheel(name: str, folder: Path) -> Path:
    """Write the wheel of an installed distribution, out of its files here; gives its path."""
    found = metadata.distribution(name)
    tag = next(line for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: "))
    path = folder / f"{found.name.replace('-', '_')}-{found.version}-{tag.removeprefix('Tag: ')}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in found.files or []:
            if ".." not in file.parts and file.suffix != ".pyc" and file.name not in {"INSTALLER", "REQUESTED"}:
                archive.write(str(file.locate()), str(file))
    return path
