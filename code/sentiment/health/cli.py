"""The arguments of the report: which streams, and what they have to stay within."""

import argparse
import json
import re
from collections import Counter
from typing import Any

from sentiment import objects
from sentiment.flags import share, whole
from sentiment.health.streams import Stream
from sentiment.health.verdict import Limits
from sentiment.jobs import ArgumentsError, DataError

KEYS = ("name", "checkpoint", "output", "audit")
_BETWEEN = re.compile(rf",(?=(?:{'|'.join(KEYS)})=)")


def add_streams(parser: argparse.ArgumentParser) -> None:
    """Which streams are meant: one, several, or those of a list."""
    parser.add_argument("--checkpoint", help="checkpoint of the stream, a local folder or gs://BUCKET/FOLDER")
    parser.add_argument("--output-path", help="folder of its predictions (default: where its checkpoint says)")
    parser.add_argument("--audit", help="what audit_predictions.py --report has written about it")
    parser.add_argument(
        "--stream",
        action="append",
        type=fields,
        help="name=NAME,checkpoint=FOLDER[,output=FOLDER][,audit=FILE]; may be repeated, instead of --checkpoint",
    )
    parser.add_argument("--streams", help="JSON file with a list of such objects, local or on gs://")


def add_limits(parser: argparse.ArgumentParser) -> None:
    """What a healthy stream stays within."""
    limits = Limits()
    parser.add_argument(
        "--max-lease-seconds",
        type=whole(1),
        default=limits.lease_seconds,
        help="a driver that has not renewed its lease for so long is gone: down",
    )
    parser.add_argument(
        "--max-idle-seconds",
        type=whole(1),
        default=limits.idle_seconds,
        help="age of the newest batch from which on a stream is degraded",
    )
    parser.add_argument(
        "--max-batch-seconds",
        type=whole(1),
        default=limits.batch_seconds,
        help="95th percentile of the batches' seconds, and age of the batch in work, that are accepted",
    )
    parser.add_argument(
        "--max-lag-seconds",
        type=whole(1),
        default=limits.lag_seconds,
        help="age of the newest batch's oldest message that is accepted",
    )
    parser.add_argument(
        "--max-dead-letter-share",
        type=share,
        default=limits.dead_letter_share,
        help="share of dead letters that is accepted",
    )


def fields(text: str) -> dict[str, str]:
    """A stream written as name=…,checkpoint=…; a comma within a path stays in it."""
    parts = [part.partition("=") for part in _BETWEEN.split(text)]
    found = {key: value for key, _, value in parts}
    if not found.keys() <= set(KEYS) or len(found) < len(parts) or not found.get("name") or not found.get("checkpoint"):
        raise argparse.ArgumentTypeError(f"want name=NAME,checkpoint=FOLDER[,output=FOLDER][,audit=FILE], got {text!r}")
    return found


def streams(args: argparse.Namespace) -> list[Stream]:
    """The streams that the arguments name, each with folders as `objects` takes them."""
    if sum(bool(given) for given in (args.checkpoint, args.stream, args.streams)) != 1:
        raise ArgumentsError("--checkpoint, --stream, --streams: want one of the three, found none or several")
    if not args.checkpoint and (args.output_path or args.audit):
        raise ArgumentsError("--output-path, --audit: want --checkpoint with them, found none")
    if args.checkpoint:
        name = args.checkpoint.rstrip("/").rpartition("/")[2]
        given = {"checkpoint": args.checkpoint, "output": args.output_path or "", "audit": args.audit or ""}
        return [_stream({"name": name, **given}, "--checkpoint")]
    flag = "--stream" if args.stream else "--streams"
    found = [_stream(each, flag) for each in args.stream or _listed(args.streams)]
    twice = [name for name, count in Counter(stream.name for stream in found).items() if count > 1]
    if twice:
        raise ArgumentsError(f"{flag}: want streams of different names, found {twice[0]} more than once")
    return found


def limits(args: argparse.Namespace) -> Limits:
    """The limits that the arguments set."""
    return Limits(
        lease_seconds=args.max_lease_seconds,
        idle_seconds=args.max_idle_seconds,
        batch_seconds=args.max_batch_seconds,
        lag_seconds=args.max_lag_seconds,
        dead_letter_share=args.max_dead_letter_share,
    )


def _stream(given: dict[str, str], flag: str) -> Stream:
    folder, output, audit = given["checkpoint"], given.get("output", ""), given.get("audit", "")
    return Stream(
        name=given["name"],
        checkpoint=objects.folder_at(folder, flag),
        output=objects.folder_at(output, "--output-path") if output else "",
        audit=objects.folder_at(audit, "--audit") if audit else "",
    )


def _listed(location: str) -> list[dict[str, str]]:
    text = objects.read(objects.folder_at(location, "--streams"))
    if text is None:
        raise DataError(f"--streams {location}: want a JSON file, found none")
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise DataError(f"--streams {location}: want JSON, found {error}") from None
    if not isinstance(found, list) or not found or not all(_is_stream(each) for each in found):
        raise DataError(
            f"--streams {location}: want a list of objects with name and checkpoint, maybe output and audit, all texts"
        )
    for place in (each[key] for each in found for key in KEYS[1:] if each.get(key)):
        if objects.folder_or_none(place) is None:
            raise DataError(f"--streams {location}: want local folders or gs://BUCKET/FOLDER in it, found {place}")
    return found


def _is_stream(each: Any) -> bool:
    if not isinstance(each, dict) or not {"name", "checkpoint"} <= each.keys() <= set(KEYS):
        return False
    return all(isinstance(value, str) for value in each.values()) and bool(each["name"] and each["checkpoint"])
