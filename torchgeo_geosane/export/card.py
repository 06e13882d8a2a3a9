"""The model card of exported weights: for the Hugging Face Hub, and for whoever opens the folder."""

import re
from collections.abc import Iterator

from huggingface_hub import ModelCardData

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.provenance import PromptRecord, Provenance
from torchgeo_geosane.sensors import Band, Sensor, get_sensor, whole_name

# Licences that the Hub knows by these names; all others are 'other' to it.
_LICENCES = frozenset(
    {
        'apache-2.0',
        'bsd-2-clause',
        'bsd-3-clause',
        'cc-by-4.0',
        'cc-by-nc-4.0',
        'cc-by-nc-sa-4.0',
        'cc-by-sa-4.0',
        'cc0-1.0',
        'gpl-3.0',
        'mit',
    }
)
_ON_HUB = re.compile(r'https://(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)')
_PAPER = 'https://arxiv.org/abs/2603.23408'
_KINDS = {
    'generated': 'decoded by the foundry',
    'adapted': "generated, then fitted to this sensor's bands",
    'prompt': 'copied from the prompt',
    'initialised': 'freshly initialised',
}


def model_card(generated: Generated) -> str:
    """The model card: YAML front matter, then Markdown.

    Says what the weights are for, where they come from, which licences they inherit, how much of
    them was generated, how to load and how to reproduce them.
    """
    provenance = generated.provenance
    sensor = get_sensor(provenance.sensor)
    sections = [
        f'---\n{_front_matter(provenance)}---',
        f'# {provenance.architecture} for `{provenance.sensor}`, generated',
        f'Backbone weights of the timm architecture `{provenance.architecture}` for the bands below '
        f'of `{whole_name(sensor.name)}` ({sensor.description}). They were not trained: `torchgeo-geosane` '
        f'generated them around a trained model, as [GeoSANE]({_PAPER}) describes. They have no '
        'head.',
        '## Input',
        *_input(provenance, sensor),
        '## Where they come from',
        '\n'.join(_origin(provenance)),
        '## How much was generated',
        '\n'.join(_coverage(generated)),
        '## Load',
        _LOAD.format(in_chans=sensor.in_chans),
        '## Reproduce',
        f'```bash\ntorchgeo-geosane generate "{provenance.url}" --out folder\n```',
        'Computed with '
        + ', '.join(f'{name} {version}' for name, version in provenance.versions.items())
        + f'. The key of the result is `{provenance.key}`; the full provenance is in the header of '
        '`model.safetensors`.',
        '## Licence',
        'Generated weights are derived from the foundry and the prompt. Their licences: '
        f'{provenance.licence}.',
    ]
    return '\n\n'.join(sections) + '\n'


_LOAD = """With timm, a fresh head on top:

```python
import timm

model = timm.create_model('local-dir:path/to/this/folder', pretrained=True, num_classes=10)
```

In TorchGeo, `weights: true` loads them:

```yaml
model:
  class_path: torchgeo.trainers.ClassificationTask
  init_args: {{model: 'local-dir:path/to/this/folder', weights: true, in_channels: {in_chans}, num_classes: 10}}
```

In its segmentation tasks write `backbone: 'tu-local-dir:path/to/this/folder'`. From the Hub, write
`hf-hub:owner/name` in place of `local-dir:path/to/this/folder`."""


def _front_matter(provenance: Provenance) -> str:
    licences = {provenance.foundry_licence, *(prompt.licence for prompt in provenance.prompts)}
    licence = next(iter(licences)).lower() if len(licences) == 1 else 'other'
    known = licence in _LICENCES
    bases = [match[1] for prompt in provenance.prompts if (match := _ON_HUB.match(prompt.source))]
    data = ModelCardData(
        library_name='timm',
        license=licence if known else 'other',
        license_name=None if known else 'of-foundry-and-prompt',
        pipeline_tag='image-feature-extraction',
        base_model=bases or None,
        tags=[
            'timm',
            'torchgeo',
            'geosane',
            'remote-sensing',
            'earth-observation',
            whole_name(provenance.sensor),
        ],
    )
    return data.to_yaml() + '\n'


def _input(provenance: Provenance, sensor: Sensor) -> Iterator[str]:
    yield f'{sensor.in_chans} channels, in this order:'
    yield '\n'.join(
        [
            '| channel | band | shows | wavelength (nm) | units | mean | std |',
            '|---|---|---|---|---|---|---|',
            *(_row(number, band) for number, band in enumerate(sensor.bands)),
        ]
    )
    yield (
        f'Statistics: {sensor.statistics}. `mean` and `std` in `config.json` are for images as '
        "torchvision's `ToTensor` gives them: 8-bit data divided by 255, all other data in the "
        'units above. Where no statistics are known they are 0 and 1.'
    )
    stem = provenance.stem
    stems = ', '.join(f'`{tensor}`' for tensor in stem.tensors)
    yield (
        f'The stem, {stems}, was generated for {", ".join(stem.prompt_bands)} and then '
        'rebuilt for these bands.'
        if stem.adapted
        else f'The stem, {stems}, was not adapted.'
    )


def _row(number: int, band: Band) -> str:
    cells = (number, f'`{band.name}`', band.description, band.wavelength, band.units)
    numbers = ('' if value is None else f'{value:g}' for value in (band.mean, band.std))
    return (
        '| ' + ' | '.join(['' if cell is None else str(cell) for cell in cells] + [*numbers]) + ' |'
    )


def _origin(provenance: Provenance) -> Iterator[str]:
    yield (
        f'- foundry: `{provenance.foundry}` ({provenance.foundry_licence}; '
        f'sha256 `{provenance.foundry_fingerprint}`)'
    )
    for prompt in provenance.prompts:
        yield _describe(prompt)


def _describe(prompt: PromptRecord) -> str:
    return (
        f'- prompt: `{prompt.name}`, from {prompt.source} ({prompt.licence}); it sees '
        f'`{prompt.sensor}`: {", ".join(prompt.bands)}; `{prompt.fingerprint}`'
    )


def _coverage(generated: Generated) -> Iterator[str]:
    coverage = generated.provenance.coverage
    whole = sum(tensor.numel() for tensor in generated.tensors.values())
    yield '| | | tensors | values | share |'
    yield '|---|---|---|---|---|'
    for kind, meaning in _KINDS.items():
        sizes = [generated.tensors[name].numel() for name, how in coverage.items() if how == kind]
        if sizes:
            share = sum(sizes) / whole
            yield f'| {kind} | {meaning} | {len(sizes)} | {sum(sizes):,} | {share:.2%} |'
