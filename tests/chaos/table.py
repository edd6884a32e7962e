"""The lines of the table: which there are, how one is run, how they are shown."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from chaos import lines_drivers, lines_input, lines_kills, lines_models, lines_outages, lines_stopping, lines_tasks
from chaos.place import Place, World

Line = Callable[[Place], None]

LINES: dict[str, tuple[str, Line]] = {
    "points": ("kill -9 after offsets, Parquet, Kafka, manifest", lines_kills.points),
    "mid-send": ("kill -9 in mid-send, a transaction open", lines_kills.mid_send),
    "mid-swap": ("kill -9 in mid-swap", lines_kills.mid_swap),
    "random": ("kill -9 at random moments under load", lines_kills.random_kills),
    "commits": ("N = 0 to 9: commits/N deleted, started again", lines_kills.deleted_commits),
    "task": ("a task's worker killed in mid-batch, local[2,4]", lines_tasks.local_worker),
    "cluster": ("a Python worker, then an executor killed, cluster", lines_tasks.cluster),
    "frozen": ("first driver frozen 30 s in mid-batch, a second started", lines_drivers.frozen),
    "frozen-load": ("the same at any moment, under load", lines_drivers.frozen_under_load),
    "new-code": ("new code on the same checkpoint, killed in mid-batch", lines_drivers.new_code),
    "changed-file": ("a file changed after its intent", lines_input.changed_file),
    "poison": ("1 % poison", lines_input.poison),
    "registry-absent": ("registry down at start", lines_models.registry_absent),
    "registry-away": ("registry down for a minute, answering 500, hanging", lines_models.registry_away),
    "bad-models": ("champion moved to each kind of bad model", lines_models.bad_models),
    "bad-at-start": ("champion is a bad model at start", lines_models.bad_at_start),
    "swaps": ("20 swaps under load", lines_models.swaps),
    "promoted": ("promotion and rollback under load", lines_models.promoted),
    "sink": ("broker of the output stopped for 30 s", lines_outages.sink),
    "sink-frozen": ("broker of the output frozen 3.3 s, 12 times, under load", lines_outages.sink_frozen),
    "source": ("broker of the input stopped for 30 s", lines_outages.source),
    "output-file": ("output below a plain file", lines_stopping.output_below_a_file),
    "checkpoint-file": ("checkpoint below a plain file", lines_stopping.checkpoint_below_a_file),
    "full-output": ("no room for Parquet (ulimit -f)", lines_stopping.full_output),
    "full": ("no room for anything (ulimit -f)", lines_stopping.full_everything),
    "two-drivers": ("two drivers on one checkpoint", lines_drivers.two),
    "fresh-checkpoint": ("checkpoint deleted, fresh start over the same output", lines_drivers.fresh_checkpoint),
    "champion-moved": ("champion moved between Parquet and Kafka, then kill", lines_kills.champion_moved),
    "drain": ("drain in mid-batch", lines_stopping.drain),
    "sigterm": ("SIGTERM to Python in mid-batch", lines_stopping.terminated_python),
    "sigterm-submit": ("SIGTERM to spark-submit in mid-batch", lines_stopping.terminated_submit),
}


@dataclass
class Result:
    """How a line came out."""

    name: str
    passed: bool
    why: str
    checked: int
    seconds: float


def run(world: World, name: str) -> Result:
    """One line, in a place of its own; the champion is version 1 again before it."""
    began = time.monotonic()
    world.zoo.set_champion("1")
    place = Place(world, name)
    why = ""
    try:
        LINES[name][1](place)
        if not place.checked:
            why = "nothing was checked"
    except AssertionError as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001  a line that cannot be run is one that fails; the others go on
        traceback.print_exc()
        why = f"{type(error).__name__}: {error}"
    finally:
        place.close()
    result = Result(name, not why, why, place.checked, time.monotonic() - began)
    print(f"chaos: {name}: {'ok' if result.passed else why} ({result.seconds:.0f} s)", flush=True)
    return result


def show(results: list[Result], seconds: float) -> None:
    """The table."""
    print(f"\n{'fault':<56} {'result':<7} {'rows':>8} {'seconds':>8}")
    for each in results:
        print(
            f"{LINES[each.name][0]:<56} {'ok' if each.passed else 'FAILED':<7} {each.checked:>8,} {each.seconds:>8.0f}"
        )
        if each.why:
            print(f"    {each.why}")
    good = sum(each.passed for each in results)
    print(f"{good} of {len(results)} lines hold, {sum(each.checked for each in results):,} rows, {seconds:.0f} s")
