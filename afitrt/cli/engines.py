"""`afitrt build-engine` and `afitrt engines`: stages made ready for a runtime, looked over and tidied up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from afitrt.cli.flags import ModelFlags, grouped, stream_number
from afitrt.errors import ArtefactError, UsageError

app = typer.Typer(help="Stages made ready for a runtime: list, verify, prune.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@grouped
def build_engine(
    *,
    model: ModelFlags,
    size: Annotated[
        list[str] | None, typer.Option(help="Size of the video, WxH; may be repeated.", show_default="1920x1080")
    ] = None,
    video: Annotated[Path | None, typer.Option("--for", metavar="IN", help="Take the size of this video.")] = None,
    stream: Annotated[
        str | None, typer.Option("--video", help="Which of its videos, by ffmpeg's number of the track.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="GPU architectures for TensorRT: sm_86,sm_89,sm_120, or current.",
            show_default="the GPU here, else the portable ones",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also print arithmetic, traffic, launches and memory of every stage.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make every stage of the network ready; needs no GPU, but for full TensorRT. `interpolate` does it on the way."""
    from afitrt.cli.building import Build
    from afitrt.cli.console import print_json

    options = model.options(building=True)
    sizes = _sizes(size or [], video, stream)
    build = Build(options, model.runtime is None, sizes, target)
    build.announce()
    entries = build.run(quiet=as_json)
    plans = build.explained(quiet=as_json) if explain else []
    if as_json:
        shown = {"engines": entries} | ({"plans": plans} if explain else {})
        print_json({"runtime": options.runtime, "precision": options.precision, "targets": build.targets} | shown)


def _sizes(texts: list[str], video: Path | None, stream: str | None) -> list[tuple[int, int]]:
    sizes = [_size(text) for text in texts]
    if video is None and stream is not None:
        raise UsageError(f"--video {stream} without --for", "the video that it is of", "--for IN")
    if video is not None:
        from afitrt.video import probe

        info = probe(video, None if stream is None else stream_number(stream))
        sizes.append((info.width, info.height))
    return list(dict.fromkeys(sizes)) or [(1920, 1080)]


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if found is None:
        raise UsageError(f"--size {text}", "a width and a height up to 99999, WxH", "--size 1920x1080")
    return int(found[1]), int(found[2])


def entry(path: Path) -> dict[str, Any]:
    """What `engines list` and `build-engine` say of one artefact; path: its file."""
    from afitrt import artefacts

    facts = artefacts.read_sidecar(path)
    names = ("runtime", "runtime_version", "model", "stage", "scale", "precision", "target", "bytes", "sha256")
    size = f"{facts['width']}x{facts['height']}" if facts["width"] else None
    about: dict[str, Any] = facts["about"]
    return {name: facts[name] for name in names} | {"size": size, "path": str(path)} | about


@app.command("list")
def list_engines(as_json: AsJson = False) -> None:
    """List what was made ready: runtime, model, stage, padded size, scale, precision, GPU architecture."""
    from afitrt import artefacts
    from afitrt.cli.console import print_json, stdout

    entries, damaged = [], []
    for sidecar in artefacts.stored():
        try:
            entries.append(entry(sidecar.with_suffix("")))
        except ArtefactError as error:
            damaged.append(error.found)
    kernels = [each for each in entries if each["size"] is None]
    if as_json:
        print_json({"engines": [each for each in entries if each["size"]], "kernels": kernels, "unreadable": damaged})
        return
    for each in entries:
        facts = f"{each['size'] or 'any size'} scale {each['scale']:g} {each['precision']} {each['target']}"
        stdout.print(f"{each['runtime']} {each['model']} {each['stage']} {facts}: {each['path']}", markup=False)
    for found in damaged:
        stdout.print(f"unreadable: {found}", markup=False)
    if not entries and not damaged:
        stdout.print("no engines yet: afitrt build-engine")


@app.command()
def verify() -> None:
    """Check every file against its hash; says which are damaged, and then ends with exit code 6."""
    from afitrt import artefacts
    from afitrt.cli.console import stdout

    damaged = []
    for folder in artefacts.folders():
        try:
            path = artefacts.check_folder(folder)
        except ArtefactError as error:
            damaged.append(error)
            stdout.print(f"damaged: {error.found}", markup=False)
        else:
            stdout.print(f"whole: {path}", markup=False)
    if damaged:
        raise ArtefactError(
            f"{len(damaged)} of {len(artefacts.folders())} engines are damaged",
            "files as they were made",
            "afitrt engines prune, then the command that needs them again",
        )


@app.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove whole ones too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove what is of no use: damaged ones, those of other versions, and what a killed process left."""
    from afitrt.cli.console import stdout
    from afitrt.cli.pruning import useless

    for path, reason in useless(everything):
        stdout.print(f"{'would remove' if dry_run else 'removed'} {path} ({reason})", markup=False)
        if not dry_run:
            _remove(path)


def _remove(path: Path) -> None:
    from afitrt import artefacts

    if path.is_dir():
        artefacts.discard(path)
    else:
        path.unlink(missing_ok=True)
