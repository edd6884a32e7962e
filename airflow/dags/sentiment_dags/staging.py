"""The code that jobs run: gs://<code bucket>/code/<revision>/, staged from the checkout that the DAGs lie in.

Where there is no checkout (on Cloud Composer, say) the Variable code_revision names a revision that is staged already;
ci-cd/train-model.sh and ci-cd/deploy-serving.sh stage the one that they run from.
"""

import hashlib
import importlib.util
import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentiment_dags import store
from sentiment_dags.jobs import code_folder
from sentiment_dags.settings import Settings
from sentiment_dags.variables import SettingsError

log = logging.getLogger(__name__)

CHECKOUT = Path(__file__).resolve().parents[3]
PACKAGE = "sentiment.zip"
PLAIN = ("ci-cd/init-actions/init-conda-spark-nlp-mlflow.sh", "requirements-cluster.txt")
"""Files of a checkout that a cluster of a run's own is made with."""


def staged(settings: Settings, scripts: Sequence[str], checkout: Path = CHECKOUT) -> str:
    """The revision whose package and scripts lie in the code bucket now.

    Args:
        settings: of the run; with a code_revision nothing is written, only looked for.
        scripts: names of the self-contained scripts that the run needs.
        checkout: of the repository; may be none.

    Raises:
        SettingsError: code_revision is wanted, or not staged.
    """
    bucket, revision, files = store.client(), settings.code_revision, {}
    if not revision:
        files = packed(checkout)
        revision = revision_of(checkout, files)
    folder = code_folder(settings, revision)
    lacking = store.missing(bucket, [f"{folder}/{name}" for name in (PACKAGE, *scripts)])
    if lacking and not files:
        raise SettingsError(
            f"Variable code_revision: want a revision that is staged in {code_folder(settings, '')} "
            f"(ci-cd/train-model.sh does), found none at {lacking[0]}"
        )
    for uri in lacking:
        store.put(bucket, uri, files[uri.rpartition("/")[2]])
        log.info("staged %s", uri)
    return revision


def packed(checkout: Path) -> dict[str, bytes]:
    """What ci-cd/package.py of a checkout makes, by name; SettingsError: there is no checkout."""
    script = checkout / "ci-cd" / "package.py"
    if not script.is_file():
        raise SettingsError(
            "Variable code_revision: want the revision of staged code where the DAGs lie in no checkout, found nothing"
        )
    spec = importlib.util.spec_from_file_location("package", script)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {**module.contents(checkout), **{path.name: path.read_bytes() for path in map(checkout.joinpath, PLAIN)}}


def revision_of(checkout: Path, files: dict[str, bytes]) -> str:
    """12 hex digits of the commit; where what is packed differs from it, with -dirty- and 8 digits of the content."""
    sources = ["code", "ci-cd/promote-model.py", "ci-cd/package.py", *PLAIN]
    try:
        commit = _git(checkout, "rev-parse", "--short=12", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--", *sources)
    except (OSError, subprocess.CalledProcessError):
        commit, changed = "0" * 12, "a copy without git"
    if not changed:
        return commit
    content = hashlib.sha256(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()
    return f"{commit}-dirty-{content[:8]}"


def _git(checkout: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()
