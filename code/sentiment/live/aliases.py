"""One model's aliases, and the deprecated stages beside them; what MLflow answers becomes a value or a DataError."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from sentiment.jobs import DataError
from sentiment.progress import log
from sentiment.registry import standing
from sentiment.roles import CHAMPION, STAGES
from sentiment.tracking import brief

NO_MODEL = "want a registered model, found none"

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_ARCHIVED = "Archived"


class Aliases:
    """Reads and sets the aliases of one registered model; every step may be repeated."""

    def __init__(self, client: MlflowClient, model: str) -> None:
        self.client = client
        self.model = model

    def live(self) -> str | None:
        """What serving would serve now: alias champion, else the newest version in stage Production."""
        with self._answering():
            return standing(self.client, self.model, CHAMPION)

    def named_by(self, alias: str) -> str | None:
        """The version that an alias names."""
        with self._answering():
            version = self.client.get_registered_model(self.model).aliases.get(alias)
        return None if version is None else str(version)

    def registered(self) -> int:
        """When the registry made the model, in ms since 1970; 0: there is none of that name."""
        with self._answering():
            try:
                return int(self.client.get_registered_model(self.model).creation_timestamp)
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
                return 0

    def exists(self, version: str | None) -> bool:
        """Whether a version is in the registry; None is not."""
        if version is None:
            return False
        with self._answering():
            try:
                self.client.get_model_version(self.model, version)
            except MlflowException as error:
                if error.error_code not in _ABSENT:
                    raise
                return False
        return True

    def point(self, alias: str, version: str | None) -> bool:
        """Let an alias name a version, or nothing; False: the version is gone, and the alias is removed."""
        with self._answering():
            if version is not None:
                try:
                    self.client.set_registered_model_alias(self.model, alias, version)
                    return True
                except MlflowException as error:
                    if error.error_code not in _ABSENT:
                        raise
            self.client.delete_registered_model_alias(self.model, alias)
        return version is None

    def set_stages(self, live: str | None) -> None:
        """Put the live version alone into stage Production; a registry without stages is no error."""
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", r".*transition_model_version_stage.* is deprecated", FutureWarning)
                if live is not None:
                    stage = STAGES[CHAMPION]
                    self.client.transition_model_version_stage(self.model, live, stage, archive_existing_versions=True)
                    return
                for version in self.client.search_model_versions(f"name = '{self.model}'"):
                    if version.current_stage == STAGES[CHAMPION]:
                        self.client.transition_model_version_stage(self.model, version.version, _ARCHIVED)
        except MlflowException as error:
            log.warning("stages, which are deprecated, were not set beside the aliases: %s", brief(error))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            if error.error_code in _ABSENT:
                raise DataError(f"--model-name {self.model}: {NO_MODEL}") from error
            raise DataError(f"--mlflow-uri: the registry does not answer: {brief(error)}") from error
        except (SQLAlchemyError, OSError) as error:
            raise DataError(f"--mlflow-uri: the registry does not answer: {brief(error)}") from error
