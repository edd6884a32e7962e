"""What a challenger must show, rule by rule: each with its limit, what was found, and one line that says why."""

from collections.abc import Iterator

import numpy as np
import pyspark

from sentiment.gate import comparison
from sentiment.gate.case import FAILED, LEFT_OUT, PASSED, Case, Findings, Verdict
from sentiment.gate.comparison import Paired
from sentiment.gate.validation import SLICES
from sentiment.gate.versions import Version, split_differences
from sentiment.live.entries import FOUND, ROLLED_BACK, Entry, lineage, named
from sentiment.roles import CHALLENGER, CHAMPION

RUN_METRICS = ["accuracy", "f1", "roc_auc", "log_loss"]
MIN_SLICE_ROWS = 50
"""Slices of fewer rows are shown and not judged: two points are less than one row of them."""

NEVER_OVERRULED = ("spark-minor", "loads")


def judge(case: Case) -> Findings:
    """Every rule's verdict; what cannot be judged without an earlier rule is left out and says so."""
    findings = Findings()
    findings.verdicts += [_run_metrics(case), _same_split(case), spark_minor(case.challenger), _loads(case)]
    findings.verdicts += [_both_classes(case), _min_accuracy(case)]
    findings.verdicts += _relative(case, findings)
    findings.verdicts += [_calibration(case), _latency(case), _rolled_back(case), _hand_moved(case)]
    return findings


def spark_minor(version: Version) -> Verdict:
    """The version was saved by the Spark that is to load it."""
    here = ".".join(pyspark.__version__.split(".")[:2])
    found = version.tags.get("spark_minor", "no tag")
    reason = f"version {version.number} was made with Spark {found}, this is Spark {here}"
    if found == "no tag":
        reason = f"version {version.number} has no tag spark_minor, want {here}"
    return _verdict("spark-minor", here, found, found == here, reason)


def _verdict(rule: str, limit: str, found: str, passed: bool, reason: str) -> Verdict:
    return Verdict(rule, limit, found, PASSED if passed else FAILED, reason)


def _left_out(rule: str, limit: str, reason: str) -> Verdict:
    return Verdict(rule, limit, "", LEFT_OUT, reason)


def _run_metrics(case: Case) -> Verdict:
    version = case.challenger
    missing = [metric for metric in RUN_METRICS if not version.finite(metric)]
    found = ", ".join(f"{metric} {version.metrics[metric]:.4f}" for metric in RUN_METRICS if metric not in missing)
    reason = f"the training run of version {version.number} has all of them"
    if not version.run_id:
        reason = f"version {version.number} has no training run"
    elif missing:
        reason = f"the training run of version {version.number} has no finite {', '.join(missing)}"
    return _verdict("run-metrics", f"finite {', '.join(RUN_METRICS)}", found, not missing, reason)


def _same_split(case: Case) -> Verdict:
    wanted = case.trial.splitting
    if not wanted:
        return _left_out("same-split", "", "the validation data were not read: see loads")
    limit = ", ".join(f"{name} {value}" for name, value in wanted.items())
    strange = {version.number: split_differences(version.splitting, wanted) for version in case.versions}
    named = [f"version {number} has {', '.join(found)}" for number, found in strange.items() if found]
    if not named:
        return _verdict("same-split", limit, "the same", True, "no version was trained on the validation rows")
    found = "; ".join(named)
    reason = f"the validation data have {limit}, {found}: one of them may have trained on these rows"
    return _verdict("same-split", limit, found, False, reason)


def _loads(case: Case) -> Verdict:
    limit = "loads and scores in a fresh process"
    if CHALLENGER in case.trial.unfit:
        return _verdict("loads", limit, "does not", False, case.trial.unfit[CHALLENGER])
    if not case.trial.has(CHALLENGER):
        return _left_out("loads", limit, _not_scored(case))
    reason = f"version {case.challenger.number} scored every row, the probe texts and the odd ones"
    return _verdict("loads", limit, "does", True, reason)


def _not_scored(case: Case) -> str:
    """Why there are no scores of the challenger."""
    if CHALLENGER in case.trial.unfit:
        return "nothing was scored: see loads"
    if spark_minor(case.challenger).verdict == FAILED:
        return "nothing was loaded: see spark-minor"
    return "nothing was scored: see same-split"


def _both_classes(case: Case) -> Verdict:
    limit = "both classes"
    if not case.trial.has(CHALLENGER):
        return _left_out("both-classes", limit, _not_scored(case))
    rows, probes = case.trial.column(f"{CHALLENGER}_prediction"), case.trial.probes[CHALLENGER]
    counts, one = [], []
    for what, said in (("validation rows", rows), ("probe texts", np.asarray(probes))):
        positive = int(np.sum(said == 1.0))
        counts.append(f"{what}: {len(said) - positive:,} negative, {positive:,} positive")
        if positive in (0, len(said)):
            one.append(f"it calls each of the {len(said):,} {what} {'positive' if positive else 'negative'}")
    return _verdict("both-classes", limit, "; ".join(counts), not one, "; ".join(one or counts))


def _min_accuracy(case: Case) -> Verdict:
    limit = f">= {case.limits.min_accuracy:g}"
    if not case.trial.has(CHALLENGER):
        return _left_out("min-accuracy", limit, _not_scored(case))
    found = float(np.mean(case.trial.right(CHALLENGER)))
    reason = f"accuracy {found:.4f} on {len(case.trial.right(CHALLENGER)):,} rows, want {limit}"
    return _verdict("min-accuracy", limit, f"{found:.4f}", found >= case.limits.min_accuracy, reason)


def _relative(case: Case, findings: Findings) -> Iterator[Verdict]:
    """regression and the slices; the comparisons go into `findings`."""
    limit = f"lower end >= {-case.limits.max_regression:g}"
    slice_limit = f">= {-case.limits.max_slice_regression:g}"
    instead = _without_champion(case)
    if instead is not None:
        verdict, reason = instead
        yield Verdict("regression", limit, "", verdict, reason)
        for name in SLICES:
            yield Verdict(f"slice-{name}", slice_limit, "", verdict, reason)
        return
    champion, challenger = case.trial.right(CHAMPION), case.trial.right(CHALLENGER)
    findings.overall = comparison.paired(champion, challenger)
    yield _regression(findings.overall, case.limits.max_regression, limit)
    assert case.trial.rows is not None
    for name in SLICES:
        inside = case.trial.rows[name].to_numpy(dtype=bool)
        if not inside.any():
            yield _left_out(f"slice-{name}", slice_limit, "no row")
            continue
        findings.slices[name] = comparison.paired(champion[inside], challenger[inside])
        yield _slice(name, findings.slices[name], case.limits.max_slice_regression, slice_limit)


def _without_champion(case: Case) -> tuple[str, str] | None:
    """Verdict and reason of the rules that compare, where there is nothing to compare; None: there is."""
    if case.champion is None:
        return LEFT_OUT, "there is no champion to compare with"
    if CHAMPION in case.trial.unfit:
        return FAILED, f"cannot be compared with the champion: {case.trial.unfit[CHAMPION]}"
    if not case.trial.has(CHALLENGER):
        return LEFT_OUT, _not_scored(case)
    return None


def _regression(pair: Paired, margin: float, limit: str) -> Verdict:
    passed = pair.shows_no_more_loss_than(margin)
    found = _interval(pair)
    reason = f"{_challenger_less(pair)} on {pair.rows:,} rows, want {limit}"
    reason += f"; one exactly as good as the champion passes in {pair.pass_rate(margin):.1%} of cases at this width"
    if not passed:
        needed = pair.rows_to_show(margin)
        reason += (
            f"; such a difference would be enough on about {needed:,} rows"
            if needed is not None
            else "; such a difference is too large on any number of rows"
        )
    return _verdict("regression", limit, found, passed, reason)


def _slice(name: str, pair: Paired, margin: float, limit: str) -> Verdict:
    found = _interval(pair)
    reason = f"{_challenger_less(pair)} on {pair.rows:,} rows of the slice, want a difference {limit}"
    if pair.rows < MIN_SLICE_ROWS:
        return Verdict(f"slice-{name}", limit, found, LEFT_OUT, f"{reason}; fewer than {MIN_SLICE_ROWS} are not judged")
    return _verdict(f"slice-{name}", limit, found, pair.difference >= -margin - 1e-12, reason)


def _challenger_less(pair: Paired) -> str:
    return f"accuracy of challenger minus champion {_interval(pair)}"


def _interval(pair: Paired) -> str:
    return f"{pair.difference:+.4f} (95 % {pair.low:+.4f} to {pair.high:+.4f})"


def _calibration(case: Case) -> Verdict:
    limit = f"<= {case.limits.max_calibration_error:g}"
    if not case.trial.has(CHALLENGER):
        return _left_out("calibration", limit, _not_scored(case))
    found = comparison.calibration_error(case.trial.column("label"), case.trial.column(f"{CHALLENGER}_score"))
    reason = f"expected calibration error {found:.4f}, want {limit}"
    return _verdict("calibration", limit, f"{found:.4f}", found <= case.limits.max_calibration_error, reason)


def _latency(case: Case) -> Verdict:
    limit = f"<= {case.limits.max_latency_ratio:g} times the champion's"
    instead = _without_champion(case)
    if instead is not None:
        return Verdict("latency", limit, "", *instead)
    times = case.trial.seconds
    if len(times) < len(case.versions):
        return _left_out("latency", limit, "no batches were timed: see loads")
    slow = {role: comparison.slow_end(seconds) * 1000 for role, seconds in times.items()}
    ratio = slow[CHALLENGER] / slow[CHAMPION]
    reason = (
        f"a batch of {case.trial.batch_rows:,} rows takes Spark's stages {slow[CHALLENGER]:.0f} ms, the champion "
        f"{slow[CHAMPION]:.0f} ms (p95 of {len(times[CHALLENGER])}): {ratio:.2f} times as long, want {limit}"
    )
    return _verdict("latency", limit, f"{ratio:.2f}", ratio <= case.limits.max_latency_ratio, reason)


def _rolled_back(case: Case) -> Verdict:
    number = case.challenger.number
    limit = "never rolled back from"
    told = [entry for entry in case.entries if entry.from_version == number and _goes_back(entry, case.entries)]
    if not told:
        return _verdict(ROLLED_BACK, limit, "never", True, f"version {number} was never rolled back from")
    last = told[-1]
    reason = f"version {number} was rolled back from (entry {last.number}: {last.reason})"
    return _verdict(ROLLED_BACK, limit, f"entry {last.number}", False, reason)


def _goes_back(entry: Entry, entries: list[Entry]) -> bool:
    """Whether an entry leaves its version for one that was live before it: by a rollback, or by hand."""
    by_hand = entry.action == FOUND and entry.to_version in lineage(entries[: entry.number - 1])
    return entry.action == ROLLED_BACK or by_hand


def _hand_moved(case: Case) -> Verdict:
    """Whoever runs the gate again, such as a retry of Airflow's, must not undo what a person has done past it."""
    limit = "by the ledger's commands"
    last = case.entries[-1] if case.entries else None
    if last is None or last.action != FOUND or last.number == 1:  # the first one is what the ledger began with
        return _verdict("hand-moved", limit, "so", True, "what is live was last moved by the ledger's commands")
    moved = f"from {named(last.from_version)} to {named(last.to_version)} (entry {last.number})"
    reason = f"the champion was moved by hand {moved}: a person decides, with --approve and a --reason"
    return _verdict("hand-moved", limit, f"entry {last.number}", False, reason)
