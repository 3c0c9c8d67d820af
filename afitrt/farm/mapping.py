"""Paths that another machine knows by another name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from afitrt.errors import UsageError

EXAMPLE = "--path-map /mnt/films=/srv/films"


@dataclass(frozen=True)
class Rule:
    """What lies under `source` elsewhere lies under `target` here."""

    source: PurePath
    target: Path

    def apply(self, path: str) -> Path | None:
        """The path here, or None where the rule says nothing of it."""
        try:
            return self.target.joinpath(*type(self.source)(path).relative_to(self.source).parts)
        except ValueError:
            return None


@dataclass(frozen=True)
class PathMap:
    """Rules; of those that fit a path, the longest counts."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> PathMap:
        """Of FROM=TO as typed, FROM in the manner of Windows or of others. Raises UsageError."""
        return cls(tuple(sorted(map(_rule, texts), key=lambda rule: len(rule.source.parts), reverse=True)))

    def __call__(self, path: Path) -> Path:
        """The path as this machine knows it; the same where no rule fits."""
        for rule in self.rules:
            if (found := rule.apply(str(path))) is not None:
                return found
        return path


def _rule(text: str) -> Rule:
    source, equals, target = text.partition("=")
    if not (equals and source and target):
        raise UsageError(f"--path-map {text}", "FROM=TO", EXAMPLE)
    windows = PureWindowsPath(source).drive and not source.startswith("/")
    return Rule(PureWindowsPath(source) if windows else PurePosixPath(source), Path(target))
