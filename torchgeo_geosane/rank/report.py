"""What a ranking leaves behind: a table, a page that opens without network, and CSV files."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.callbacks.probe import PROBES
from torchgeo_geosane.pages import embed_figure, render_page
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.rank.drawing import draw_pairs, draw_scores
from torchgeo_geosane.rank.mixing import Pair
from torchgeo_geosane.rank.ranking import Ranked, Ranking

_TEMPLATE = Path(__file__).with_name('page.html.jinja')
_DPI = 110


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page: ``rank.html``: figures, table and YAML, all in one file.
        table: ``rank.csv``: one line for each of the weights.
        pairs: ``pairs.csv``: one line for each two of the best.
    """

    page: Path
    table: Path
    pairs: Path


def write_report(ranking: Ranking, output: Path) -> Report:
    """Write page and tables into a folder; older ones in it are replaced.

    Raises:
        CacheError: If the disk refuses.
    """
    report = Report(output / 'rank.html', output / 'rank.csv', output / 'pairs.csv')
    texts = {
        report.page: _page(ranking),
        report.table: _csv(['place', *header(ranking), 'url'], _full_rows(ranking)),
        report.pairs: _csv(
            [
                'first',
                'second',
                'features_cka',
                'values_before',
                'values_after',
                'chance',
                'advice',
            ],
            [_pair_row(pair) for pair in ranking.pairs],
        ),
    }
    for path, text in texts.items():
        with replacing(path) as provisional:
            provisional.write_text(text, encoding='utf-8')
    return report


def header(ranking: Ranking) -> list[str]:
    """The titles of :func:`row`."""
    probes = [f'{probe} ± 95 %' for probe in PROBES]
    return [
        'weights',
        'architecture',
        *probes,
        'parameters',
        'ms an image',
        'bands',
        'size',
        'licence',
    ]


def row(ranked: Ranked) -> list[str]:
    """One line of a table; weights as good as the best are starred."""
    contender = ranked.contender
    scores = [
        f'{ranked.scores[each].mean:.3f} ± {ranked.scores[each].reach:.3f}' for each in PROBES
    ]
    return [
        contender.name + (' *' if ranked.is_as_good else ''),
        contender.spec.architecture,
        *scores,
        f'{contender.parameters / 1e6:.1f} M',
        f'{ranked.milliseconds:.1f}',
        str(contender.bands),
        f'{ranked.size / 1e6:.0f} MB' if ranked.size else '–',
        contender.licence,
    ]


def yaml_lines(ranking: Ranking, ranked: Ranked) -> str:
    """What a config's ``model: init_args:`` says to start from some weights."""
    prefix = 'tu-' if ranking.data.predicts_maps else ''
    name = f'{prefix}{timm_name(ranked.contender.spec)}'
    return f"{ranking.data.argument}: '{name}'\nweights: true"


def _full_rows(ranking: Ranking) -> list[list[str]]:
    return [
        [str(place), *row(ranked), ranked.contender.spec.url]
        for place, ranked in enumerate(ranking.ranked, 1)
    ]


def _pair_row(pair: Pair) -> list[str]:
    numbers = (pair.features, pair.before, pair.after, pair.chance)
    return [
        pair.first,
        pair.second,
        *('' if number is None else f'{number:.3f}' for number in numbers),
        pair.advice,
    ]


def _page(ranking: Ranking) -> str:
    return render_page(
        _TEMPLATE,
        ranking=ranking,
        header=header(ranking),
        rows=[(row(each), yaml_lines(ranking, each)) for each in ranking.ranked],
        scores=embed_figure(draw_scores(ranking), _DPI),
        mixing=embed_figure(draw_pairs(ranking.pairs), _DPI) if ranking.pairs else '',
        pairs=[_pair_row(pair) for pair in ranking.pairs],
    )


def _csv(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator='\n')
    writer.writerows([head, *rows])
    return written.getvalue()
