"""The facts as one HTML file that asks nothing of a network: pictures as data, charts as SVG, no script runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from afitrt.errors import counted
from afitrt.report.timeline import timeline
from afitrt.report.watching import CUTS_SHOWN, Sides, Watched


def page(facts: Mapping[str, Any], watched: Watched) -> str:
    """The whole page. The JSON in it is `facts`, without the pictures."""
    template = Template(files("afitrt.report").joinpath("page.html").read_text(encoding="utf-8"))
    parts = (_head(facts), _scenes(watched, facts), _time(facts), _files(facts), _provenance(facts))
    # Inside a script element "<" could end it; without "&" too, the page is XML as well as HTML.
    embedded = json.dumps(facts).replace("<", "\\u003c").replace("&", "\\u0026")
    title = escape(str(facts["source"]["path"]))
    return template.substitute(title=title, body="\n".join(parts), facts=embedded)


def _head(facts: Mapping[str, Any]) -> str:
    done, error = facts["run"]["done"], facts["run"]["error"]
    output = f" → {facts['output']['path']}" if facts["output"] else ""
    lines = [f"<h1>{escape(facts['source']['path'] + output)}</h1>"]
    if done:
        made = f"{counted(done['frames'], 'frame')} in, {counted(done['outputs'], 'picture')} out"
        made += f" at {_rate(done['rate'])} fps"
        made += " on average" if done["varies"] else ""
        lines.append(_soft(f"{made}, {counted(done['scenes'], 'scene')}, {_clock(done['seconds'])} of work"))
    if error:
        told = [f"{error['found']}; expected: {error['expected']}; try: {error['hint']}"]
        kept = [f"kept: {error['kept']}"] if error["kept"] else []
        lines.append(_marks([*told, *kept], "bad"))
    lines.append(_marks(facts["warnings"]) if facts["warnings"] else _soft("No warnings."))
    return "\n".join(lines)


def _soft(text: str) -> str:
    return f'<p class="soft">{escape(text)}</p>'


def _marks(texts: Iterable[str], kind: str = "") -> str:
    return f'<ul class="marks {kind}">' + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _scenes(watched: Watched, facts: Mapping[str, Any]) -> str:
    missed = max((each.difference for each in watched.doubtful), default=0.0)
    count = len(watched.cuts)
    shown = f"{count}" if len(watched.shown) == count else f"{len(watched.shown)} of {count}, evenly chosen"
    rule = facts["options"]["scenes"]
    how = "as given" if rule["cuts"] is not None else f"found by {rule['detector']}, threshold {rule['threshold']:g}"
    return f"""<h2>Scenes</h2>
<p>How far each frame is from the one before. Red: cuts, {escape(how)}. Amber: the largest differences that are no cuts,
and below a frame around cuts that are smaller than one of those. A right cut shows two unlike pictures, a wrong one two
that belong together. To correct them: <code>afitrt scenes IN -o cuts.json</code>, edit, <code>--cuts cuts.json</code>.
</p>
{timeline(watched)}
<h2>Cuts: {shown}</h2>
{_sides(watched.shown, missed) if count else _soft("None.")}
{_soft(f"At most {CUTS_SHOWN} are drawn.") if len(watched.shown) < count else ""}
<h2>Not taken as cuts: the {len(watched.doubtful)} largest differences</h2>
{_sides(watched.doubtful, 0) if watched.doubtful else _soft("None: all other frames are equal.")}"""


def _sides(places: Sequence[Sides], missed: float) -> str:
    """Figures; one whose difference is below `missed`, that of a place not taken, is marked as weak."""
    return '<div class="sides">' + "".join(_figure(each, each.difference < missed) for each in places) + "</div>"


def _figure(sides: Sides, weak: bool) -> str:
    pictures = "".join(
        f'<img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt="{which} frame {sides.index}"/>'
        for which, data in (("before", sides.before), ("at", sides.after))
    )
    score = "" if sides.score is None else f", score {sides.score:z.1f}"
    caption = (
        f"frame {sides.index}, {_clock(sides.seconds)}: difference {sides.difference:.1f}, rule {sides.branch}{score}"
    )
    kind = ' class="weak"' if weak else ""
    return f'<figure id="frame-{sides.index}"{kind}>{pictures}<figcaption>{caption}</figcaption></figure>'


def _time(facts: Mapping[str, Any]) -> str:
    done = facts["run"]["done"]
    if not done:
        return ""
    total = done["seconds"] or 1.0
    stages = {f"{name} ({cost['calls']:.0f} calls)": cost["seconds"] for name, cost in done["stages"].items()}
    waits = {"waiting for frames": done["waited"]["decoder"], "waiting for the encoder": done["waited"]["encoder"]}
    rest = max(0.0, total - sum(stages.values()) - sum(waits.values()))
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{seconds:.2f} s</td><td>{100 * seconds / total:.0f} %</td>"
        f'<td class="bar"><div style="width:{100 * min(1.0, seconds / total):.1f}%"></div></td></tr>'
        for name, seconds in {**stages, **waits, "everything else": rest}.items()
    )
    speed = f"{done['outputs'] / total:.2f} pictures a second"
    return f"<h2>Where time went: {_clock(done['seconds'])}, {speed}</h2><table>{rows}</table>"


def _files(facts: Mapping[str, Any]) -> str:
    source, output = facts["source"], facts["output"] or {}
    names = [name for name in {**source, **output} if name not in ("path", "tracks")]
    names = [name for name in names if source.get(name) not in (None, "") or output.get(name) not in (None, "")]
    rows = [_row(name, _text(source.get(name)), _text(output.get(name))) for name in names]
    tracks = ["<br/>".join(map(escape, each.get("tracks", []))) for each in (source, output)]
    rows.append(f"<tr><th>tracks</th><td>{tracks[0]}</td><td>{tracks[1]}</td></tr>")
    return f"<h2>In and out</h2><table><tr><th></th><th>in</th><th>out</th></tr>{''.join(rows)}</table>"


def _provenance(facts: Mapping[str, Any]) -> str:
    versions = "".join(_row(name, version) for name, version in facts["versions"].items())
    options = "".join(
        _row(f"{group} {name}", _text(value))
        for group in ("schedule", "scenes", "model", "encode")
        for name, value in facts["options"].get(group, {}).items()
        if value not in (None, [])
    )
    weights = "".join(_row(name, digest) for name, digest in facts["weights"].items())
    stages = "".join(
        _row(f"{each['stage']} {each['width']}x{each['height']} {each['precision']}", each["sha256"])
        for each in facts["stages"]
    )
    parts = ["<h2>Versions</h2>", f"<table>{versions}</table>"]
    if weights or stages:
        parts += ["<h2>Weights and stages, by SHA-256</h2>", f"<table>{weights}{stages}</table>"]
    elif facts["run"]["started"]:
        parts += ["<h2>Weights and stages</h2>", _soft("None: this model has none of its own.")]
    return "\n".join([*parts, "<h2>Options</h2>", f"<table>{options}</table>"])


def _row(name: str, *values: str) -> str:
    cells = "".join(f"<td>{escape(value)}</td>" for value in values)
    return f"<tr><th>{escape(name.replace('_', ' '))}</th>{cells}</tr>"


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{name} {each}" for name, each in value.items() if each is not None) or "not told"
        case list():
            return ", ".join(map(str, value))
    return str(value)


def _rate(text: str) -> str:
    return f"{float(Fraction(text)):.6g}"


def _clock(seconds: float) -> str:
    """Time to the hundredth: 0:00:05.12."""
    whole, _, parts = str(timedelta(seconds=round(seconds, 2))).partition(".")
    return f"{whole}.{(parts + '00')[:2]}"
