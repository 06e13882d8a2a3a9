"""The documentation's tables, made from the code, as Markdown.

``python docs/tables.py`` writes the tables of starts into README.md; the site makes the others when it is
built.
"""

import csv
import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from torchgeo_geosane import datamodules as modules
from torchgeo_geosane import datasets as imagery
from torchgeo_geosane.compare.geobench2 import benchmark_sets
from torchgeo_geosane.compare.record import RunRecord
from torchgeo_geosane.compare.results import REFERENCES, Results
from torchgeo_geosane.compare.verdict import format_difference, format_estimate
from torchgeo_geosane.datamodules.chips import ChipDataModule
from torchgeo_geosane.datamodules.images import ImageDataModule
from torchgeo_geosane.datasets.chips import DB, LINEAR, ChipDataset
from torchgeo_geosane.datasets.geobench2_sets import GEOBENCH2
from torchgeo_geosane.foundry.sampling import SAMPLERS
from torchgeo_geosane.prompts import Prompt, list_prompts, resolve_prompt
from torchgeo_geosane.providers.catalog import ARCHITECTURES, Entry, catalogue
from torchgeo_geosane.sensors import SENSORS
from torchgeo_geosane.stem import same_bands

README = Path(__file__).parents[1] / 'README.md'
MEASURED = Path(__file__).parent / 'benchmarks'

SCENES = {'Landsat-7': 'landsat7', 'Sentinel-2': 'sentinel2_landuse'}
TILES = {
    'Climate zones, MobileNetV2': 'climate_v2',
    'Climate zones, MobileNetV3': 'climate_v3',
    'Water, MobileNetV2': 'water_v2',
    'Water, MobileNetV3': 'water_v3',
}
FEW = {
    'A tenth of the labels, MobileNetV2': 'climate_v2_tenth',
    'A tenth of the labels, MobileNetV3': 'climate_v3_tenth',
    'A hundredth of the labels, MobileNetV2': 'climate_v2_hundredth',
    'A hundredth of the labels, MobileNetV3': 'climate_v3_hundredth',
}
STARTS = {
    'scratch': 'from scratch',
    'prompt': 'the prompt',
    'second': 'a prompt of another lineage',
    'prompt_noise': 'the prompt plus equal white noise',
    'soup': 'plain average of the prompts',
    'average_aligned': 'their average, aligned',
    'greedy_soup': 'greedy soup of the prompts',
    'ties': 'TIES merge of the prompts',
    'dare': 'DARE merge of the prompts',
    'generated_one_prompt': '**generated** around the prompt',
    'generated_one_prompt_wide': '**generated** around it, noise of the default size',
    'generated': '**generated** around the average',
    'generated_quiet': '**generated** around the average, a quarter of the noise',
    'generated_mean_unaligned': '**generated** around the average, not aligned',
    'generated_mean': '**generated** around the average, aligned',
    'generated_dirichlet': '**generated** as a mix of the prompts',
    'generated_best': 'best of four **generated**',
    'generated_average': 'average of the best two of four **generated**',
}

SCENE_STARTS = (
    *('scratch', 'prompt', 'prompt_noise', 'soup', 'greedy_soup'),
    *('generated_one_prompt', 'generated', 'generated_best', 'generated_average'),
)
METRICS = ('test_mIoU', 'test_AverageAccuracy')
TILE_STARTS = (
    *('scratch', 'prompt', 'prompt_noise', 'soup', 'average_aligned', 'greedy_soup'),
    *('generated_one_prompt', 'generated_mean'),
)

_LETTERS = {'torchgeo': 'T', 'ukis': 'P', 'kelp': 'P', 'mobilenet': 'P', 'timm': 'I'}


def names() -> str:
    """Sensors by architectures: every name, with the kind of its default prompts."""
    cells = {(entry.enum, entry.spec.sensor): _letter(entry) for entry in catalogue()}
    rows = [
        [f'`{sensor.upper()}`', str(SENSORS[sensor].in_chans)]
        + [cells.get((f'GeoSANE_{title}_Weights', sensor), '') for title in ARCHITECTURES]
        for sensor in SENSORS
    ]
    return _table(['', 'bands', *ARCHITECTURES], rows)


def differences(tasks: Mapping[str, str], shown: Collection[str]) -> str:
    """What some starts are worth beside the prompt, whose own means stand in its row."""
    measured = [results(name, ('prompt',)) for name in tasks.values()]
    rows = [
        [title, *(_worth(found, start) for found in measured)]
        for start, title in STARTS.items()
        if start in shown
    ]
    return _table(['start', *tasks], rows)


def results(name: str, references: Sequence[str] = REFERENCES) -> Results:
    """The runs that a comparison left: ``benchmarks/compare.py``'s or ``compare_tiles.py``'s."""
    with (MEASURED / f'compare_{name}.csv').open() as file:
        rows = list(csv.DictReader(file))
    metric = next(metric for metric in METRICS if metric in rows[0])
    records = [
        RunRecord(row['initialisation'], int(row['seed']), metrics={metric: float(row[metric])})
        for row in rows
    ]
    return Results.of(records, metric, references=references)


def _worth(found: Results, start: str) -> str:
    """The prompt's mean, another start's paired difference to it."""
    (setting,) = found.settings
    comparison = found.find(setting, start, 'prompt')
    if comparison is None:
        mean = found.mean(setting, start)
        return format_estimate(mean.mean, mean.low, mean.high)
    difference = format_difference(comparison)
    return f'**{difference}**' if comparison.outcome in {'better', 'worse'} else difference


def weights() -> str:
    """Every name with its bands' count, default prompts and what becomes of the stem."""
    return _table(
        ['name', 'bands', 'default prompts', 'stem'],
        [
            [
                f'`{entry.name}`',
                str(entry.spec.target.in_chans),
                '<br>'.join(f'`{prompt}`' for prompt in entry.spec.prompts),
                'adapted' if _is_adapted(entry) else 'as the prompt’s',
            ]
            for entry in catalogue()
        ],
    )


def sensors() -> str:
    """Every sensor with its bands in the order of the channels."""
    return _table(
        ['sensor', 'what', 'bands, in order', 'units', 'statistics'],
        [
            [
                f'`{sensor.name}`',
                sensor.description,
                ' '.join(sensor.band_names),
                sensor.units,
                sensor.statistics,
            ]
            for sensor in SENSORS.values()
        ],
    )


def bands() -> str:
    """Every band of every sensor."""
    return _table(
        ['sensor', 'band', 'what', 'nm', 'mean', 'std', 'units'],
        [
            [
                '' if index else f'`{sensor.name}`',
                band.name,
                band.description,
                *(
                    '' if value is None else f'{value:g}'
                    for value in (band.wavelength, band.mean, band.std)
                ),
                band.units,
            ]
            for sensor in SENSORS.values()
            for index, band in enumerate(sensor.bands)
        ],
    )


def prompts() -> str:
    """Prompts of the catalogue's architectures by what their stem sees, timm's aside."""
    grouped: dict[tuple[str, str], list[Prompt]] = {}
    for architecture in ARCHITECTURES.values():
        for name in list_prompts(architecture):
            if name != 'random' and not name.startswith('timm:'):
                prompt = resolve_prompt(name, architecture, SENSORS['rgb'], seed=0)
                grouped.setdefault((architecture, prompt.sensor), []).append(prompt)
    return _table(
        ['architecture', 'the stem sees', 'prompts', 'licences'],
        [
            [
                f'`{architecture}`',
                f'`{sensor}`',
                '<br>'.join(f'`{prompt.name}`' for prompt in found),
                '<br>'.join(dict.fromkeys(prompt.licence for prompt in found)),
            ]
            for (architecture, sensor), found in grouped.items()
        ],
    )


def samplers() -> str:
    """Every sampler with its parameters."""
    return _table(
        ['sampler', 'parameter', 'what it draws'],
        [
            [
                f'`{name}`',
                ', '.join(f'`{f.name}={f.default}`' for f in dataclasses.fields(sampler)) or '–',
                (sampler.__doc__ or '').splitlines()[0],
            ]
            for name, sampler in SAMPLERS.items()
        ],
    )


def datasets() -> str:
    """Every data set of chips: what it holds, in which units and parts, and how to obtain it."""
    found = (getattr(imagery, name) for name in imagery.__all__)
    return _table(
        ['data set', 'bands and units', 'classes', 'splits', 'how to obtain, licence'],
        [
            [
                f'{{py:class}}`~{data.__module__}.{data.__name__}`',
                '<br>'.join(
                    f'{" ".join(band for band in data.all_bands if data.units[band] == unit)}: {unit}'
                    for unit in dict.fromkeys(data.units.values())
                ),
                ', '.join(data.classes) if len(data.classes) < 12 else f'{len(data.classes)}',
                ', '.join(f'`{split}`' for split in data.splits),
                data.source,
            ]
            for data in found
            if isinstance(data, type) and issubclass(data, ChipDataset)
        ],
    )


def datamodules() -> str:
    """Every data module of images: its parts, statistics and image size."""
    found = (getattr(modules, name) for name in modules.__all__)
    return _table(
        [
            'data module',
            'trains, validates, tests on',
            'statistics',
            'no data becomes',
            'image size',
        ],
        [
            [
                f'{{py:class}}`~{module.__module__}.{module.__name__}`',
                ', '.join(f'`{part}`' for part in module.parts.values()),
                module.statistics_source,
                _no_data(module),
                _image_size(module),
            ]
            for module in found
            if issubclass(module, ImageDataModule)
        ],
    )


def geobench2() -> str:
    """The sets of GEO-Bench-2 that have a data module: labels, metric and bands."""
    kinds = {'classes': 'a class', 'labels': 'several labels', 'mask': 'a mask'}
    return _table(
        ['set', 'an image has', 'scored by', '`look`', 'bands: `sensor` for weights'],
        [
            [
                f'`{name}`',
                kinds[images.kind],
                benchmark_sets()[name].metric,
                f'`{title}`',
                f'`{SENSORS[look.sensor].select(look.bands.values()).name}`',
            ]
            for name, images in GEOBENCH2.items()
            for title, look in images.looks.items()
        ],
    )


TABLES: dict[str, Callable[[], str]] = {
    table.__name__: table
    for table in (
        *(names, weights, sensors, bands, prompts, samplers),
        *(datasets, datamodules, geobench2),
    )
}


def updated_readme(text: str) -> str:
    """README.md with its tables as the measurements have them now."""
    for name, table in (
        ('tiles', differences(TILES, TILE_STARTS)),
        ('scenes', differences(SCENES, SCENE_STARTS)),
    ):
        begin, end = f'<!-- {name}: python docs/tables.py -->', f'<!-- /{name} -->'
        before, rest = text.split(begin)
        text = f'{before}{begin}\n\n{table}\n{end}{rest.split(end)[1]}'
    return text


def _letter(entry: Entry) -> str:
    kind = entry.spec.prompts[0].partition(':')[0]
    return _LETTERS[kind] + ('*' if _is_adapted(entry) else '')


def _is_adapted(entry: Entry) -> bool:
    sensor = entry.spec.target
    prompts = (
        resolve_prompt(name, entry.spec.architecture, sensor, seed=0) for name in entry.spec.prompts
    )
    return any(not same_bands(prompt.bands, sensor.bands) for prompt in prompts)


def _no_data(module: type[ImageDataModule]) -> str:
    """What stands for no data after normalisation, radar and other bands apart."""
    if not issubclass(module, ChipDataModule):
        return 'not told apart'
    made = module(bands=tuple(module.scales))
    ranges: dict[str, list[float]] = {}
    for band, fill in zip(made.bands, made.fill.tolist(), strict=True):
        radar = made.dataset_class.units[band] in {DB, LINEAR}
        ranges.setdefault('radar' if radar else 'others', []).append(fill)
    return '<br>'.join(
        f'{kind if len(ranges) > 1 else "all"}: {min(fills):.1f} … {max(fills):.1f}'
        for kind, fills in ranges.items()
    )


def _image_size(module: type[ImageDataModule]) -> str:
    size = inspect.signature(module).parameters.get('size')
    return 'as the files' if size is None else f'`size`, {size.default}'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in lines)


if __name__ == '__main__':
    README.write_text(updated_readme(README.read_text()))
