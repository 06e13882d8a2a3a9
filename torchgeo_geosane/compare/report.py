"""The report of a comparison: a page that opens without network, tables, and a verdict."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.compare import table
from torchgeo_geosane.compare.figures import (
    Drawing,
    draw_curves,
    draw_differences,
    draw_fractions,
    draw_values,
)
from torchgeo_geosane.compare.record import Mode, RunKey, RunRecord
from torchgeo_geosane.compare.results import REFERENCES, Results, Setting
from torchgeo_geosane.compare.verdict import AIMS, Aim, write_verdict
from torchgeo_geosane.pages import render_page

_TEMPLATE = Path(__file__).with_name('report.html.jinja')


@dataclass(frozen=True)
class Report:
    """What was written, and what it says.

    Attributes:
        page: ``report.html``: figures, tables and verdict, all in one file.
        runs: ``runs.csv``: one line a run.
        tables: ``table.md``: verdict and tables for other documents.
        verdict: One paragraph.
    """

    page: Path
    runs: Path
    tables: Path
    verdict: str


@dataclass(frozen=True)
class _Section:
    title: str
    header: list[str]
    rows: list[table.Row]
    costs: list[list[str]]
    drawings: list[Drawing]


def write_report(
    records: Sequence[RunRecord],
    output: Path,
    metric: str,
    *,
    mode: Mode = 'max',
    references: Sequence[str] = REFERENCES,
    aims: Sequence[Aim] = AIMS,
    planned: Iterable[RunKey] = (),
    failures: Mapping[RunKey, str] | None = None,
    models: Collection[str] = (),
    facts: Mapping[str, str] | None = None,
    title: str = 'Comparison of initialisations',
) -> Report:
    """Write ``report.html``, ``runs.csv`` and ``table.md``.

    Args:
        records: Of the finished runs.
        output: Folder to write to; older reports in it are replaced.
        metric: The metric of the test to compare by, e.g. ``test_mIoU``.
        mode: Whether more (``max``) or less (``min``) of it is better.
        references: Initialisations that the others are compared with.
        aims: What generated weights are asked to show; judged in the verdict.
        planned: All runs asked for; those that have not finished are listed.
        failures: Runs that failed, and why.
        models: Which of the initialisations are other models than the fit's.
        facts: What to say about the comparison: task, data, budget.
        title: Of the page.

    Raises:
        SpecError: If no run has finished, or none has the metric. Nothing is written then.
        CacheError: If the disk refuses.
    """
    results = Results.of(records, metric, mode, references, planned, failures)
    verdict = write_verdict(results, aims, models)
    page = _render(results, records, verdict, facts or {}, title)
    report = Report(output / 'report.html', output / 'runs.csv', output / 'table.md', verdict)
    texts = {
        report.page: page,
        report.runs: table.runs_csv(records),
        report.tables: f'{verdict}\n\n{table.markdown(results, records)}',
    }
    for path, text in texts.items():
        with replacing(path) as provisional:
            provisional.write_text(text, encoding='utf-8')
    return report


def _render(
    results: Results,
    records: Sequence[RunRecord],
    verdict: str,
    facts: Mapping[str, str],
    title: str,
) -> str:
    finished = sum(len(values) for values in results.values.values())
    return render_page(
        _TEMPLATE,
        title=title,
        verdict=verdict,
        facts=facts,
        metric=results.metric,
        cost_header=table.COST_HEADER,
        fractions=draw_fractions(results),
        sections=[_section(results, records, setting) for setting in results.settings],
        lacking=results.lacking,
        total=finished + len(results.lacking),
    )


def _section(results: Results, records: Sequence[RunRecord], setting: Setting) -> _Section:
    drawings: list[Drawing | None] = []
    rows = table.rows(results, setting)
    if rows:
        drawings.append(draw_values(results, setting))
    for reference in table.references(results, setting):
        compared = [c for c in results.comparisons if (c.setting, c.second) == (setting, reference)]
        drawings.append(draw_differences(compared))
    drawings += [draw_curves(records, setting, what) for what in ('validation', 'curve')]
    return _Section(
        setting.title,
        table.header(results, setting),
        rows,
        table.costs(records, setting),
        [drawing for drawing in drawings if drawing],
    )
