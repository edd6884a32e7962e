"""The whole course of a promotion: who stands for it, the trial, the rules, the card, the ledger."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from sentiment import evaluation, tracking
from sentiment.gate import card, comparison, fresh, rules, versions
from sentiment.gate.case import FAILED, Case, Findings, Verdict
from sentiment.gate.filing import Filing
from sentiment.gate.settings import Settings
from sentiment.gate.trial import Request, Trial
from sentiment.gate.versions import Version
from sentiment.jobs import DataError
from sentiment.lines import printable
from sentiment.live.entries import PROMOTED, Entry
from sentiment.live.ledger import ChampionChangedError, HandMovedError, Ledger
from sentiment.live.opening import open_ledger
from sentiment.progress import Progress, log
from sentiment.registry import standing
from sentiment.roles import CHALLENGER, CHAMPION

Try = Callable[[Request, int], Trial]


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        challenger: number of the version that stood for promotion.
        champion: number of the version that was live; None: none was.
        findings: verdicts and comparisons; without verdicts: there was nothing to decide.
        promotes: whether the version is good enough, or approved.
        overruled: failed rules that a person overruled.
        refused: failed rules that nobody may overrule, where somebody tried.
        entry: of the ledger; None: nothing moved.
        places: where the model card lies.
    """

    challenger: str
    champion: str | None
    findings: Findings = field(default_factory=Findings)
    promotes: bool = False
    overruled: list[Verdict] = field(default_factory=list)
    refused: list[Verdict] = field(default_factory=list)
    entry: Entry | None = None
    places: list[str] = field(default_factory=list)


def promote(settings: Settings, steps: Progress, attempt: Try = fresh.run) -> Outcome:
    """Decide about a version and, unless it is a dry run, move what is live.

    Args:
        settings: what is asked.
        steps: of the script.
        attempt: makes the trial; in a fresh process by default.

    Raises:
        DataError: no such model or version, validation data that cannot be used, a ledger that cannot be written, a
            champion that changed meanwhile. Nothing was moved.
    """
    with steps.step("asking the registry and the ledger"):
        client = tracking.connect(settings.mlflow_uri, make=False)
        versions.check_model(client, settings.model)
        ledger = open_ledger(client, settings.model, settings.ledger)
        live = ledger.settle(record=not settings.dry_run)
        number = settings.version or _newest(client, settings.model)
        challenger = versions.read(client, settings.model, number)
    outcome = Outcome(challenger.number, live)
    if live == challenger.number:
        return outcome
    champion = versions.read(client, settings.model, live) if live else None
    case = _tried(settings, challenger, champion, ledger.entries(), attempt)
    outcome.findings = rules.judge(case)
    _decide(outcome, settings)
    with tempfile.TemporaryDirectory(prefix="sentiment-card-") as scratch:
        with steps.step("writing the model card"):
            filing = Filing(client, settings, case, outcome.findings, Path(scratch))
            outcome.places = filing.write(_told(settings, outcome))
        if outcome.promotes and not settings.dry_run:
            with steps.step(f"making version {challenger.number} the champion"):
                _go_live(ledger, settings, case, outcome, filing)
    return outcome


def _newest(client: MlflowClient, model: str) -> str:
    """The version that the alias `challenger` names, or the newest one in the stage that means it."""
    try:
        found = standing(client, model, CHALLENGER)
    except MlflowException as error:
        raise DataError(f"--model-name {model}: {tracking.brief(error)}") from error
    if found is None:
        raise DataError(f"--model-version: want a number, or a version of {model} with alias {CHALLENGER}, found none")
    return found


def _tried(
    settings: Settings, challenger: Version, champion: Version | None, entries: list[Entry], attempt: Try
) -> Case:
    location = settings.validation_data or challenger.validation_data
    if not location:
        raise DataError(
            f"--validation-data: want a folder that create_splits.py wrote: the training run of version "
            f"{challenger.number} does not say where its test split is"
        )
    both = [version for version in (champion, challenger) if version is not None]
    request = Request(
        mlflow_uri=settings.mlflow_uri,
        model=settings.model,
        challenger=challenger.number,
        champion=champion.number if champion else "",
        location=location,
        splittings={version.number: version.splitting for version in both},
        load=rules.spark_minor(challenger).verdict != FAILED,
        insist=settings.approve,
        max_latency_ratio=settings.limits.max_latency_ratio,
    )
    try:
        trial = attempt(request, settings.trial_seconds)
    except DataError as error:
        if settings.validation_data or "--validation-data" not in str(error):
            raise
        raise DataError(f"{error} (named by the training of version {challenger.number})") from error
    return Case(challenger, champion, trial, entries, settings.limits)


def _decide(outcome: Outcome, settings: Settings) -> None:
    failed = outcome.findings.failed
    if settings.approve:
        outcome.refused = [verdict for verdict in failed if verdict.rule in rules.NEVER_OVERRULED]
        outcome.overruled = [] if outcome.refused else failed
    outcome.promotes = not failed or bool(outcome.overruled)


def _told(settings: Settings, outcome: Outcome) -> card.Told:
    return card.Told(outcome.promotes, [verdict.rule for verdict in outcome.overruled], settings.reason)


def _go_live(ledger: Ledger, settings: Settings, case: Case, outcome: Outcome, filing: Filing) -> None:
    """Move what is live, and let the card say what came of it; where a claim is open it leaves that to the ledger."""
    told = _told(settings, outcome)
    try:
        outcome.entry = _move(ledger, settings, case, outcome)
    except DataError as error:
        outcome.promotes = False
        overtaken = isinstance(error, ChampionChangedError | HandMovedError)
        kept = "what is live was moved while this was decided" if overtaken else printable(error)
        with suppress(DataError):
            if not ledger.claimed(outcome.challenger, len(case.entries)):
                filing.write(replace(told, kept=kept))
        raise
    try:
        filing.write(replace(told, live=True))
    except DataError as error:  # what it says is still true
        log.warning("the model card leaves it to the ledger that version %s is promoted: %s", outcome.challenger, error)


def _move(ledger: Ledger, settings: Settings, case: Case, outcome: Outcome) -> Entry:
    overruled = [verdict.rule for verdict in outcome.overruled]
    reason = settings.reason or "every rule passed"
    if overruled:
        reason += f" (overruled: {', '.join(overruled)})"
    return ledger.move(
        PROMOTED,
        outcome.challenger,
        live=outcome.champion,
        seen=len(case.entries),
        previous=ledger.before(outcome.challenger, PROMOTED, case.entries),
        reason=reason,
        evidence=_evidence(case, outcome),
    )


def _evidence(case: Case, outcome: Outcome) -> dict[str, Any]:
    """What the decision rests on, for the ledger."""
    trial, pair = case.trial, outcome.findings.overall
    figures = {}
    for role in (CHAMPION, CHALLENGER):
        if trial.has(role):
            found = evaluation.figures(trial.scores(role))
            found["calibration_error"] = comparison.calibration_error(
                trial.column("label"), trial.column(f"{role}_score")
            )
            figures[role] = {name: round(value, 6) for name, value in found.items()}
    difference = {} if pair is None else {"accuracy": pair.difference, "low": pair.low, "high": pair.high}
    return {
        "figures": figures,
        "difference": {name: round(value, 6) for name, value in difference.items()},
        "rules": {
            verdict.rule: {"verdict": verdict.verdict, "found": verdict.found, "limit": verdict.limit}
            for verdict in outcome.findings.verdicts
        },
        "overruled": {verdict.rule: verdict.reason for verdict in outcome.overruled},
        "validation": {"data": trial.test, "rows": sum(trial.counts.values()), "digest": trial.digest},
        "card": outcome.places[-1] if outcome.places else "",
    }
