"""The filters of list calls: `status.state = ACTIVE AND labels.env = staging`, as the service documents them."""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dataproc.errors import invalid

ITEM = re.compile(
    r"""\s*(?P<field>[A-Za-z_][\w.\-]*)\s*
        (?:(?P<sign><=|>=|!=|=|:|<|>)\s*(?P<value>"[^"]*"|'[^']*'|[^\s"'=<>]+)|(?=\s|$))
        (?P<rest>\s+AND\s+(?=\S)|\s+|$)""",
    re.VERBOSE,
)
ORDER: Mapping[str, Callable[[datetime, datetime], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Filtered:
    """What a filter can ask of one thing."""

    state: str
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    inserted: datetime | None = None


@dataclass(frozen=True)
class Condition:
    """field sign value; `*` matches every value that is set."""

    field: str
    sign: str
    value: str


def parse(text: str, states: Mapping[str, Collection[str]], fields: Collection[str], timed: bool) -> list[Condition]:
    """The conditions of a filter, all of which must hold.

    Args:
        states: what `status.state` may be, and the states for which each stands.
        fields: what can be asked for beside states, labels and times.
        timed: whether `insertTime` can be asked for.

    Raises:
        ApiError: what does not follow the grammar, or an unknown field or state.
    """
    conditions, rest = [], text.strip()
    while rest:
        match = ITEM.match(rest)
        if match is None or match["field"] == "AND":
            raise invalid(
                f"filter: want field = value [AND field = value]..., got {text!r}, not understood at {rest!r}"
            )
        name, sign, value = match["field"], match["sign"] or "=", (match["value"] or "*").strip("\"'")
        if name == "status.state":
            if value != "*" and value not in states:
                raise invalid(f"filter: status.state: want one of {', '.join(states)}, got {value!r}")
        elif name == "insertTime" and timed:
            _time(value)
        elif name not in fields and not name.removeprefix("labels."):
            raise invalid(f"filter: want labels.KEY, got {name!r}")
        elif name not in fields and not name.startswith("labels."):
            known = ["status.state", *fields, *(["insertTime"] if timed else []), "labels.KEY"]
            raise invalid(f"filter: want a field out of {', '.join(known)}, got {name!r}")
        if sign not in ("=", ":") and name != "insertTime":
            raise invalid(f"filter: {name}: want =, got {sign}")
        conditions.append(Condition(name, "=" if sign == ":" else sign, value))
        rest = rest[match.end() :]
    return conditions


def matches(conditions: list[Condition], states: Mapping[str, Collection[str]], thing: Filtered) -> bool:
    """Whether every condition holds."""
    return all(_holds(condition, states, thing) for condition in conditions)


def _holds(condition: Condition, states: Mapping[str, Collection[str]], thing: Filtered) -> bool:
    name, value = condition.field, condition.value
    if name == "insertTime":
        return thing.inserted is not None and (value == "*" or ORDER[condition.sign](thing.inserted, _time(value)))
    if name == "status.state":
        return value == "*" or thing.state in states[value]
    found = thing.labels.get(name.removeprefix("labels.")) if name.startswith("labels.") else thing.fields[name]
    return found is not None and value in ("*", found)


def _time(text: str) -> datetime:
    if text == "*":
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f'filter: insertTime: want a time as "2025-01-01T00:00:00Z", got {text!r}') from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
