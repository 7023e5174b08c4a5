"""Where a recording comes from; light, so that reading a params file loads no network library."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def safe_path(path: str) -> str:
    """Return a relative path unchanged if it stays inside the folder it is joined to.

    Raises
    ------
    ValueError
        If it is absolute, climbs out, or would mean something else on another system.
    """
    parts = path.split("/")
    odd = any(part in ("", ".", "..") for part in parts) or any(c in path for c in "\\:\0")
    if odd:
        raise ValueError(f"{path!r} is not a plain relative path")
    return path


def _safe_folder(folder: str | None) -> str | None:
    trimmed = (folder or "").strip("/")
    return safe_path(trimmed) if trimmed else folder and trimmed


class SampleSource(BaseModel):
    """Where an episode comes from: one dataset, pinned.

    Parameters
    ----------
    repo_id : str
        ``owner/name`` of the dataset on the hub.
    revision : str
        Commit hash (best: the same files for ever), tag or branch.
    folder : str or None
        Folder of the episode inside the dataset, "" for its top; None takes the only episode.
    licence : str
        Identifier of the licence, shown before the download.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo_id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(min_length=1)
    folder: Annotated[str | None, AfterValidator(_safe_folder)] = None
    licence: str = Field(min_length=1)
