"""Bring the episode of the hub of these tests, and see what has arrived."""

from xperience.hub.download import download_episode

FIRST, SECOND, CHUNK = "a" * 40, "b" * 40, 1024
ANNOTATION, VIDEO = "ep01/annotation.hdf5", "ep01/fisheye_cam0.mp4"


def quiet(_):
    pass


def bring(source, out, **changes):
    return download_episode(source.model_copy(update=changes), out, say=quiet)


def content(out):
    """Return what lies in a folder, without receipt and parts."""
    files = (p for p in out.rglob("*") if p.is_file() and ".download" not in p.parts)
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


def expected(hub, commit=FIRST):
    files = hub.commits[commit].items()
    return {path.removeprefix("ep01/"): data for path, data in files if "ep01/" in path}


def parts(out):
    return list((out / ".download").glob("*.part"))
