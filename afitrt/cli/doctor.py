"""`afitrt doctor`: what is here, what is missing, and what to type about it."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False) -> None:
    """Check ffmpeg, encoders, runtimes, weights and stages; says what to type for what is missing."""
    from dataclasses import asdict

    from afitrt.cli.console import print_json, stdout
    from afitrt.doctor import examine

    findings = examine()
    if as_json:
        print_json({"checks": [asdict(finding) for finding in findings]})
        return
    for finding in findings:
        mark = "ok" if finding.ok else "missing"
        stdout.print(f"{mark:8} {finding.name}: {finding.found}", markup=False)
        if finding.hint:
            stdout.print(f"         {finding.hint}", markup=False)
