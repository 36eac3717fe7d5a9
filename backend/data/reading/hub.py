"""Data of the Hugging Face hub: find the training files of a data set, fetch them into the hub's cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from backend import units
from backend.data.constants import constants
from backend.data.reading.readers import FORMATS, suffix
from backend.data.reading.selection import Selection, looks_like_data, select
from backend.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(/[\w./-]+)?")
USUAL_SUBSETS = ("main", "default", "data", "all", "en")
PART = re.compile(r"(part|shard|chunk)[-_.]?\d+.*", re.IGNORECASE)
"""A folder that holds a part of the rows, and no subset."""


def is_hub_id(reference: str) -> bool:
    """`owner/name`, with no ending of a data file; `owner/name/subset`, or a file in it."""
    may_be_file = reference.count("/") > 1
    return HUB_ID.fullmatch(reference) is not None and (may_be_file or suffix(Path(reference)) not in FORMATS)


def fetch(reference: str) -> tuple[Path, Selection[Path]]:
    """The data set's folder in the cache and its files, downloaded if they are not there yet.

    Raises UserError (field `data`) if it is missing, gated, too large, has several subsets, or can't be reached.
    """
    from huggingface_hub import errors

    owner, name, *subset = reference.split("/")
    repo, part = f"{owner}/{name}", "/".join(subset)
    try:
        return _download(repo, part)
    except errors.GatedRepoError:
        page = f"https://huggingface.co/datasets/{repo}"
        raise UserError(f"{repo} is gated: accept its terms at {page}, then `hf auth login`", "data") from None
    except errors.RepositoryNotFoundError:
        what = f"{_said(repo, part)} is neither a path on this box nor a data set on the hub (or it is private)"
        raise UserError(f"{what}; check the name, or `hf auth login`", "data") from None
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        return _cached(repo, part, error)
    except (errors.HfHubHTTPError, errors.HFValidationError) as error:
        raise UserError(f"the hub refuses {repo}: {str(error).splitlines()[0]}", "data") from None
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]  # the base of httpx's own errors
        return _cached(repo, part, error)


def _download(repo: str, subset: str) -> tuple[Path, Selection[Path]]:
    from huggingface_hub import HfApi, snapshot_download

    info = HfApi().dataset_info(repo, files_metadata=True)
    sizes = _sizes(info)
    chosen = choose(repo, list(sizes), subset)
    names = [str(x) for x in (*chosen.train, *chosen.held_out)]
    total = sum(sizes[name] for name in names)
    if total > constants().download_bytes:
        what = f"{repo} would download {units.disk(total)}"
        raise UserError(f"{what}; fetch the part that you need and give its folder instead", "data")
    root = Path(snapshot_download(repo, repo_type="dataset", allow_patterns=names))
    return root, _within(root, chosen)


def _is_file(part: str) -> bool:
    return suffix(Path(part)) in FORMATS


def _said(repo: str, part: str) -> str:
    """What the user said, if it may be the path of a file."""
    return f"{repo}/{part}" if _is_file(part) else repo


def _within(root: Path, chosen: Selection[PurePosixPath]) -> Selection[Path]:
    return Selection([root / x for x in chosen.train], [root / x for x in chosen.held_out], chosen.findings)


def _sizes(info: DatasetInfo) -> dict[str, int]:
    return {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or []}


def _cached(repo: str, subset: str, cause: BaseException) -> tuple[Path, Selection[Path]]:
    """What an earlier download left in the cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import IncompleteSnapshotError, LocalEntryNotFoundError

    try:
        root = Path(snapshot_download(repo, repo_type="dataset", local_files_only=True))
    except IncompleteSnapshotError as error:  # expected: only the training files were fetched
        root = Path(error.snapshot_path)
    except (LocalEntryNotFoundError, OSError):
        off = type(cause).__name__ == "OfflineModeIsEnabled"
        why = "the hub is switched off (HF_HUB_OFFLINE)" if off else "the hub can't be reached"
        what = f"{_said(repo, subset)} is not a path on this box, {why}, and no earlier download of it is here"
        raise UserError(f"{what}; give a file or folder, or go online", "data") from None
    names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return root, _within(root, choose(repo, names, subset))


def choose(repo: str, names: list[str], subset: str) -> Selection[PurePosixPath]:
    """The files of one subset. UserError if there is none, or if there are several subsets to choose from."""
    if subset in names:
        return Selection([PurePosixPath(subset)], [])
    inside = [name for name in names if not subset or name.startswith(f"{subset}/")]
    if not inside and _is_file(subset):
        held = sorted(name for name in names if looks_like_data(PurePosixPath(name)))
        listed = ", ".join(held[:4]) or "no data files"
        raise UserError(f"{repo} holds no file {subset}; it holds {listed}: name one of them", "data")
    chosen = select([PurePosixPath(name) for name in inside], repo if not subset else f"{repo}/{subset}")
    if subset:
        return chosen
    folder = _usual_subset(repo, chosen.train)
    train, held_out = ([x for x in files if x.is_relative_to(folder)] for files in (chosen.train, chosen.held_out))
    return Selection(train, held_out, chosen.findings)


def _usual_subset(repo: str, paths: Sequence[PurePosixPath]) -> PurePosixPath:
    """The folder of the subset that is meant if none is named; UserError if none of several has a usual name.

    Subsets may lie within one folder for all of them, such as `data/`.
    """
    folder = meant = PurePosixPath()
    while True:
        groups = sorted({_group(path, folder) for path in paths if path.is_relative_to(folder)})
        if groups == [""] or all(PART.fullmatch(group) for group in groups):
            return meant
        group = groups[0]
        if len(groups) > 1:
            group = next((x for x in USUAL_SUBSETS if x in groups), "")
            if not group:
                raise _several(repo, folder, groups)
            meant = folder / group
        folder /= group


def _several(repo: str, folder: PurePosixPath, groups: Sequence[str]) -> UserError:
    listed = ", ".join(str(folder / group) if group or folder.parts else "(top level)" for group in groups[:6])
    example = f"{repo}/{folder / groups[-1]}"
    together = f", or {repo}/{folder} for all of them" if folder.parts else ""
    return UserError(f"{repo} holds several subsets: {listed}; name one, such as {example}{together}", "data")


def _group(path: PurePosixPath, folder: PurePosixPath) -> str:
    """The next folder of a file below `folder`; empty if it lies in `folder` itself."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else ""
