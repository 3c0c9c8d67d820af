"""What a run left that was killed after its film got its name and before its work folder was gone."""

from __future__ import annotations

import json
from dataclasses import replace

from afitrt.artefacts import sha256
from afitrt.errors import AfitrtError, OutputError
from afitrt.events import Done, Tell
from afitrt.options import Job
from afitrt.pipeline.folders import reserved
from afitrt.pipeline.placing import Joined
from afitrt.pipeline.planning import recipe_of
from afitrt.pipeline.preparing import Prepared, prepare
from afitrt.pipeline.segmented import work_folder, work_folders
from afitrt.segments import Store
from afitrt.segments.values import from_json


def prepare_or_find(job: Job, tell: Tell) -> Prepared | Done:
    """See `prepare`; where the output is there, but so is the folder of a run that was killed right after it was put in
    its place, that folder goes, and the run is told as done."""
    try:
        return prepare(job, tell)
    except OutputError:
        if (done := _found(job)) is None:
            raise
        tell(done)
        return done


def _found(job: Job) -> Done | None:
    if job.output is None or not any((each / Store.NOTE).exists() for each in work_folders(job.output)):
        return None
    prepared = prepare(replace(job, overwrite=True), lambda _: None)
    with reserved(prepared.task.output):
        return _ended(prepared)


def _ended(prepared: Prepared) -> Done | None:
    task = prepared.task
    made = recipe_of(prepared, lambda _: None)
    store = Store(work_folder(task.output, made), made.digest)
    try:
        known = from_json(Joined, json.loads(store.note.read_text()), store.note.name)
        whole = task.output.stat().st_size == known.bytes and sha256(task.output) == known.sha256
    except (OSError, ValueError, AfitrtError):
        return None
    if not whole:
        return None
    store.remove()
    return Done(
        output=str(task.output),
        frames=known.frames,
        outputs=known.outputs,
        rate=str(task.rate),
        varies=task.varies,
        scenes=known.scenes,
        seconds=0.0,
    )
