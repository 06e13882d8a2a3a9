"""Groups of tasks: all, the capabilities of GEO-Bench-2, and one's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torchgeo_geosane.compare.geobench2 import benchmark_groups
from torchgeo_geosane.errors import ComparisonError, did_you_mean

ALL = 'all'


@dataclass(frozen=True)
class Group:
    """A group of tasks.

    Attributes:
        name: Of the capability.
        tasks: Those of the aggregate that belong to it.
        size: How many belong to it in all.
    """

    name: str
    tasks: tuple[str, ...]
    size: int

    @property
    def title(self) -> str:
        """For a person to read, ``core (5 of 12 tasks)``."""
        count = (
            str(self.size) if len(self.tasks) == self.size else f'{len(self.tasks)} of {self.size}'
        )
        return f'{self.name} ({count} tasks)'


def groups_of(
    names: Sequence[str], asked: Sequence[str] = (), benchmark: bool = False
) -> tuple[Group, ...]:
    """The groups of an aggregate.

    Args:
        names: Of the tasks.
        asked: GEO-Bench-2's groups by name, or one's own as ``NAME=TASK+TASK``.
        benchmark: Whether all of the benchmark's that two or more tasks belong to are taken where
            none is asked for.

    Returns:
        All tasks, and the groups.

    Raises:
        ComparisonError: If a group or a task in it is unknown, or fewer than two tasks belong to it.
    """
    every = Group(ALL, tuple(names), len(names))
    return every, *_asked(names, asked, benchmark_groups() if benchmark else {})


def _asked(
    names: Sequence[str], asked: Sequence[str], default: Mapping[str, Sequence[str]]
) -> list[Group]:
    known = benchmark_groups()
    if not asked:
        groups = [_group(name, members, names) for name, members in default.items()]
        return [group for group in groups if len(group.tasks) > 1]
    groups = []
    for each in asked:
        name, own, members = each.partition('=')
        if own:
            wanted = tuple(dict.fromkeys(members.split('+')))
            for member in wanted:
                if member not in names:
                    raise ComparisonError(
                        f'group {name!r}: there is no task {member!r}{did_you_mean(member, names)}'
                    )
        elif name in known:
            wanted = known[name]
        else:
            raise ComparisonError(
                f'unknown group {name!r}{did_you_mean(name, known)}; write one of your own as NAME=TASK+TASK'
            )
        if name == ALL or name in {group.name for group in groups}:
            raise ComparisonError(f'there is a group {name!r} already: name yours otherwise')
        groups.append(_group(name, wanted, names))
        if len(groups[-1].tasks) < 2:
            raise ComparisonError(
                f'fewer than 2 of the tasks are in the group {name!r}, which has {", ".join(wanted)}'
            )
    return groups


def _group(name: str, members: Sequence[str], tasks: Iterable[str]) -> Group:
    return Group(name, tuple(task for task in tasks if task in members), len(members))
