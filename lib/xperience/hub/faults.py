"""What can go wrong between here and the hub, each with its way out."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
    BadRequestError,
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from xperience.errors import DownloadError

AGAIN = "Run the same command again: it resumes with what has already arrived."
OWN_FOLDER = (
    "With a folder that already holds the episode no network is needed: "
    "make reproduce RUN=sample EPISODE=<folder>."
)


class UnreachableError(DownloadError):
    """The hub did not answer, or not to the end; the files themselves may be fine."""


def endpoint() -> str:
    """Return the address of the hub: ``HF_ENDPOINT``, else the library's own default."""
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def dataset_page(repo_id: str) -> str:
    """Return the address of a dataset's page, where its terms are."""
    return f"{endpoint()}/datasets/{repo_id}"


@contextmanager
def named_faults(repo_id: str, revision: str, path: str = "") -> Iterator[None]:
    """Turn what the library raises inside the block into errors with a way out.

    Parameters
    ----------
    repo_id, revision : str
        What is being asked for.
    path : str
        The file inside the repository; empty for the listing.

    Raises
    ------
    UnreachableError
        If the hub does not answer, breaks off, or says that it is out of order.
    DownloadError
        If the hub refuses, or the disk is full.
    """
    place = f"{repo_id}@{revision}" + (f": {path}" if path else "")
    try:
        yield
    except OfflineModeIsEnabled as fault:
        raise UnreachableError(
            place,
            "cannot be asked for, HF_HUB_OFFLINE forbids the network",
            "a hub that answers",
            f"Unset HF_HUB_OFFLINE and run again. {OWN_FOLDER}",
        ) from fault
    except HfHubHTTPError as fault:
        raise _refusal(place, repo_id, fault) from fault
    except HFValidationError as fault:
        raise DownloadError(
            place, "is not a name the hub knows", "owner/name", "Correct `repo_id` in the params."
        ) from fault
    except (HTTPError, ConnectionError, TimeoutError) as fault:
        raise UnreachableError(
            place,
            f"did not arrive ({type(fault).__name__}: {fault or 'no details'})",
            f"an answer from {endpoint()}",
            f"Check the network. {AGAIN} {OWN_FOLDER}",
        ) from fault
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise no_room(place, "no room left") from fault


def no_room(place: str, found: str, expected: str = "room for the whole file") -> DownloadError:
    """Return the error for a full disk."""
    return DownloadError(
        place, f"the disk has {found}", expected, f"Free some space or choose another disk. {AGAIN}"
    )


def _refusal(place: str, repo_id: str, fault: HfHubHTTPError) -> DownloadError:
    """Return our error for an answer of the hub that is not the file."""
    page, status = dataset_page(repo_id), fault.response.status_code
    for kind, found, expected, way_out in (
        (
            GatedRepoError,
            "is gated, its owner wants its terms accepted first",
            "an account that has accepted them",
            f"Log in at {page}, accept the terms there, set HF_TOKEN to a token of that account, "
            "and run again.",
        ),
        (
            RepositoryNotFoundError,
            "does not exist, or is private",
            "a dataset that this account may read",
            "Check `repo_id` in the params file; for a private or gated dataset set HF_TOKEN.",
        ),
        (
            RevisionNotFoundError,
            "has no such revision",
            "a commit hash, tag or branch of the dataset",
            f"Correct `revision` in the params file; {page}/commits/main lists the commits.",
        ),
        (
            EntryNotFoundError,
            "is listed but not there",
            "a file for each name in the listing",
            "Pin another revision in the params file; this one is damaged on the hub.",
        ),
        (
            DisabledRepoError,
            "has been disabled on the hub",
            "a dataset that can be read",
            f"See {page} for the reason. {OWN_FOLDER}",
        ),
        (
            BadRequestError,
            "is not something the hub understands",
            "a dataset's name and revision",
            "Correct `repo_id` and `revision` in the params file.",
        ),
    ):
        if isinstance(fault, kind):
            return DownloadError(place, found, expected, way_out)
    return _status_error(place, status, page)


def _status_error(place: str, status: int, page: str) -> DownloadError:
    """Return our error for a bare HTTP status."""
    if status in (401, 403):
        return DownloadError(
            place,
            f"was refused (HTTP {status})",
            "an account that may read the dataset",
            f"Set HF_TOKEN to a valid token, and accept the terms at {page} if it asks for that.",
        )
    if status == 404:
        return DownloadError(
            place,
            "is not there (HTTP 404)",
            "a dataset, revision and file that exist",
            f"Check `repo_id` and `revision` in the params file against {page}, and HF_ENDPOINT.",
        )
    if status == 429:
        wait = "The hub asks for fewer requests: wait some minutes, or set HF_TOKEN. "
        return UnreachableError(place, "was put off (HTTP 429)", "the file", wait + AGAIN)
    return UnreachableError(
        place, f"the hub answered HTTP {status}", "the listing or the file", f"{AGAIN} {OWN_FOLDER}"
    )
