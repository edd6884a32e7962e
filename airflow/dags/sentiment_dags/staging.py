"""The code that jobs run: gs://<code bucket>/code/<revision>/, staged from the checkout that the DAGs lie in.

Where there is no checkout (on Cloud Composer, say) the Variable code_revision names a revision that is staged already;
ci-cd/train-model.sh and ci-cd/deploy-serving.sh stage the one that they run from.
"""

import importlib.util
import logging
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
        packer = _packer(checkout)
        files = packer.staged(checkout)
        revision = packer.revision(checkout)
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


def revision_of(checkout: Path = CHECKOUT) -> str:
    """The revision under which the checkout's code is staged; SettingsError: there is no checkout."""
    return str(_packer(checkout).revision(checkout))


def _packer(checkout: Path) -> Any:
    """ci-cd/package.py of a checkout as a module."""
    script = checkout / "ci-cd" / "package.py"
    if not script.is_file():
        raise SettingsError(
            "Variable code_revision: want the revision of staged code where the DAGs lie in no checkout, found nothing"
        )
    spec = importlib.util.spec_from_file_location("package", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
