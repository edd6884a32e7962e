"""Download, unzip, upload, and a line for each; or, as a dry run, what each of them would do."""

import time
from dataclasses import dataclass
from pathlib import Path

from sentiment.jobs import DataError, without_secrets
from sentiment.progress import start_logging
from sentiment.transfer.accounts import find_account
from sentiment.transfer.archive import GB
from sentiment.transfer.bars import files, megabytes
from sentiment.transfer.bucket import Bucket
from sentiment.transfer.download import Download, patiently
from sentiment.transfer.kaggle import Kaggle
from sentiment.transfer.upload import Item, items, plan, upload


@dataclass(frozen=True)
class Wanted:
    """What is to be done; `bucket` empty: no upload, `prefix` empty: at the bucket's top."""

    dataset: str
    folder: Path
    unzip: bool
    max_gb: float
    bucket: str
    prefix: str
    workers: int


def run(wanted: Wanted, dry: bool) -> None:
    """Do it and print a summary, or print what would be done; DataError as the parts raise it.

    The bucket and both accounts are asked before anything is downloaded.
    """
    start_logging()
    kaggle = Kaggle(find_account(), wanted.dataset)
    download = Download(kaggle, wanted.folder)
    bucket = Bucket(wanted.bucket) if wanted.bucket else None
    stored = bucket.objects(wanted.prefix and f"{wanted.prefix}/") if bucket else {}
    if kaggle.endpoint:
        print(f"Kaggle at {without_secrets(kaggle.endpoint)}", flush=True)
    if dry:
        coming = _would_download(wanted, kaggle, download)
        if bucket:
            send, skip = plan([item for item in items(wanted.folder, wanted.prefix) if item.path not in coming], stored)
            _would_upload(wanted, send, skip, coming)
        return

    began = time.monotonic()
    outcome = download.run(wanted.unzip, wanted.max_gb)
    what = f"{megabytes(outcome.fetched)} fetched in {time.monotonic() - began:.1f} s, {outcome.checked}"
    if outcome.checked == "unchanged":
        what = f"unchanged since the last download ({megabytes(outcome.size)})"
    kept = f"; {files(len(outcome.files))}, {megabytes(sum(outcome.files.values()))} unzipped" if wanted.unzip else ""
    print(f"downloaded: {wanted.dataset} to {wanted.folder}: {what}{kept}", flush=True)
    if not bucket:
        return

    began = time.monotonic()
    found = items(wanted.folder, wanted.prefix)
    if not found:
        raise DataError(f"--output-dir {wanted.folder}: want files to upload, found none")
    done = upload(bucket, found, stored, wanted.workers)
    print(
        f"uploaded: {_place(wanted)}: {files(done.sent)}, {megabytes(done.sent_bytes)} in "
        f"{time.monotonic() - began:.1f} s, each with its checksum; {files(done.skipped)}, "
        f"{megabytes(done.skipped_bytes)}, there unchanged",
        flush=True,
    )


def _would_download(wanted: Wanted, kaggle: Kaggle, download: Download) -> dict[Path, int]:
    """Print it; the files that would come, with their sizes as the service counts them."""
    listed = patiently(kaggle.files)
    if download.there(wanted.unzip):
        print(f"would download nothing: {wanted.dataset} is in {wanted.folder}, unchanged")
        return {}
    size = sum(file.size for file in listed)
    print(f"would download {wanted.dataset} to {download.path}: {files(len(listed))}, {megabytes(size)} unzipped")
    if not wanted.unzip:
        return {download.path: 0}
    if size > wanted.max_gb * GB:
        raise DataError(f"{wanted.dataset}: want at most --max-unzipped-gb {wanted.max_gb:g}, found {size / GB:.3g} GB")
    for file in listed:
        print(f"would unzip {wanted.folder / file.name} ({megabytes(file.size)})")
    return {wanted.folder / file.name: file.size for file in listed}


def _would_upload(wanted: Wanted, send: list[Item], skip: list[Item], coming: dict[Path, int]) -> None:
    prefix = f"gs://{wanted.bucket}/"
    for item in send:
        print(f"would upload {item.path} to {prefix}{item.name} ({megabytes(item.size)})")
    for path in coming:
        name = "/".join(part for part in (wanted.prefix, path.relative_to(wanted.folder).as_posix()) if part)
        print(f"would upload {path} to {prefix}{name}, unless it is there unchanged by then")
    for item in skip:
        print(f"would leave {prefix}{item.name}: unchanged")


def _place(wanted: Wanted) -> str:
    return f"gs://{wanted.bucket}/{wanted.prefix}/" if wanted.prefix else f"gs://{wanted.bucket}/"
