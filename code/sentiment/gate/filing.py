"""Where the model card of a decision lies: among the version's artifacts, and in the folder that was asked for."""

from pathlib import Path

from mlflow.tracking import MlflowClient

from sentiment import tracking
from sentiment.gate import card
from sentiment.gate.case import Case, Findings
from sentiment.gate.settings import Settings
from sentiment.jobs import DataError


class Filing:
    """The card of one case, which is written again when the decision has been carried out.

    Args:
        client: of the registry.
        settings: what is asked; a dry run leaves the artifacts alone.
        case: what was judged.
        findings: what was found.
        scratch: an empty local folder.
    """

    def __init__(self, client: MlflowClient, settings: Settings, case: Case, findings: Findings, scratch: Path) -> None:
        self.client, self.case, self.findings, self.scratch = client, case, findings, scratch
        self.folder = settings.card
        self.run_id = "" if settings.dry_run else case.challenger.run_id
        if self.folder or self.run_id:
            card.draw(scratch, case, findings)

    def write(self, told: card.Told) -> list[str]:
        """Write the card over the one that is there; gives the places. DataError: one of them cannot be written."""
        places = []
        if self.folder or self.run_id:
            card.write(self.scratch, self.case, self.findings, told)
        if self.folder:
            places.append(card.copy(self.scratch, Path(self.folder)))
        if self.run_id:
            inside = f"model_card/v{self.case.challenger.number}"
            try:
                self.client.log_artifacts(self.run_id, str(self.scratch), inside)
                places.append(f"{self.client.get_run(self.run_id).info.artifact_uri}/{inside}")
            except Exception as error:
                raise DataError(
                    f"the model card cannot be written to run {self.run_id}: {tracking.brief(error)}"
                ) from error
        return places
