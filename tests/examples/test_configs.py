"""Every example runs on a miniature of its data, from the weights that it names."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from miniatures import MINIATURES
from torch import Tensor

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.cli import main
from torchgeo_geosane.cli.trainer import GeoSANECLI
from torchgeo_geosane.generate import generate
from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.spec import Spec

pytestmark = pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning')

ROOT = Path(__file__).parents[2]
# These have tests of their own: command lines of their own, a task without `weights`, several weights.
OTHERS = (
    *('terratorch.yaml', 'geo_alignment.yaml', 'predict_scene.yaml'),
    *('ensemble.yaml', 'distil.yaml'),
)
EXAMPLES = sorted(path for path in (ROOT / 'examples').glob('*.yaml') if path.name not in OTHERS)
SMALL = (
    *('--trainer.accelerator=cpu', '--trainer.enable_progress_bar=false'),
    # Not 1, which the command line takes for 1.0, all of them.
    *(
        '--trainer.max_epochs=1',
        '--trainer.limit_train_batches=2',
        '--trainer.limit_test_batches=2',
    ),
    *('--data.init_args.batch_size=2', '--data.init_args.num_workers=0'),
)


@dataclass
class Run:
    """One run of an example.

    Attributes:
        cli: The command line, with its trainer and its task, when all is over.
        start: The task's state before training.
    """

    cli: GeoSANECLI
    start: dict[str, Tensor]


def asked(example: Path) -> Spec:
    """What the weights of an example stand for."""
    arguments = yaml.safe_load(example.read_text())['model']['init_args']
    if arguments['weights'] is True:
        return find_spec(arguments.get('backbone', arguments['model']))
    return find_spec(arguments['weights'])


def download_prompts(spec: Spec) -> None:
    """Put random weights where TorchGeo would have put the downloaded ones."""
    for name in spec.prompts:
        prompt = resolve_prompt(name, spec.architecture, spec.target, spec.seed)
        file = Path(torch.hub.get_dir(), 'checkpoints', Path(prompt.source).name)
        if name.startswith('torchgeo:') and not file.exists():
            file.parent.mkdir(exist_ok=True)
            torch.save(get_architecture(prompt.architecture, len(prompt.bands)).initialise(1), file)


def fit(example: Path, spec: Spec, folder: Path, patch: pytest.MonkeyPatch, *options: str) -> Run:
    """Train an example for a step or two on its miniature, and test it."""
    miniature = MINIATURES[example.stem]
    data = folder / 'data'
    data.mkdir()
    miniature.write(data)
    download_prompts(spec)
    runs: list[Run] = []

    def before_fit(cli: GeoSANECLI) -> None:
        state = {name: tensor.clone() for name, tensor in cli.model.state_dict().items()}
        runs.append(Run(cli, state))

    # Lightning's command line calls it where a subclass has it.
    patch.setattr(GeoSANECLI, 'before_fit', before_fit, raising=False)
    places = (
        f'{miniature.root}={data}',
        f'--trainer.logger.init_args.save_dir={folder / "output"}',
    )
    if miniature.file is not None:
        option, name = miniature.file
        places = (*places, f'{option}={data / name}')
    assert main(['fit', f'--config={example}', *SMALL, *places, *miniature.options, *options]) == 0
    return runs[0]


def assert_trained_from_generated_weights(run: Run, spec: Spec) -> None:
    stem = get_architecture(spec.architecture).stems[0]
    # In a ResNet, other names end like the stem's too.
    at = min((name for name in run.start if name.endswith(f'.{stem}')), key=len)
    generated = generate(spec).tensors
    names = {name: at.removesuffix(stem) + name for name in generated}
    # Detectors have frozen BatchNorm, which counts nothing.
    lacking = {name for name in names if names[name] not in run.start}
    assert all(name.endswith('num_batches_tracked') for name in lacking)
    for name in names.keys() - lacking:
        assert torch.equal(run.start[names[name]], generated[name]), name
    assert run.cli.trainer.global_step > 0
    assert not torch.equal(run.cli.model.state_dict()[at], run.start[at])


@pytest.mark.parametrize('example', EXAMPLES, ids=lambda example: example.stem)
def test_runs(
    example: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert example.stem in MINIATURES, 'write a miniature of its data in miniatures.py'
    spec = asked(example)
    run = fit(example, spec, folder, monkeypatch)
    assert_trained_from_generated_weights(run, spec)
    (checkpoint,) = re.findall(r'^Checkpoint: (.+)$', capsys.readouterr().out, re.MULTILINE)
    assert Path(checkpoint).name == 'best.ckpt'
    assert Path(checkpoint).is_relative_to(folder / 'output' / example.stem)


def test_siamese_change_detection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the example's comment says for models that see one image at a time."""
    example = ROOT / 'examples' / 'change_oscd.yaml'
    comment = re.search(r'model: (fcsiam\w+), weights: (geosane://\S+)', example.read_text())
    assert comment is not None
    model, weights = comment.groups()
    spec = find_spec(weights)
    options = (f'--model.init_args.model={model}', f'--model.init_args.weights={weights}')
    run = fit(example, spec, folder, monkeypatch, *options)
    assert_trained_from_generated_weights(run, spec)


def test_a_continued_encoder_is_a_prompt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the comment of the self-supervised example says."""
    example = ROOT / 'examples' / 'ssl_eurosat.yaml'
    spec = asked(example)
    run = fit(example, spec, folder, monkeypatch)
    (checkpoint,) = (folder / 'output').rglob('best.ckpt')
    prompt = resolve_prompt(f'file:{checkpoint}', spec.architecture, spec.target, spec.seed)
    continued = run.cli.model.backbone.state_dict()
    source = prompt.open()
    assert set(source.names()) == set(generate(spec).tensors)
    assert all(torch.equal(source.read(name), continued[name]) for name in source.names())


@pytest.mark.parametrize('example', EXAMPLES, ids=lambda example: example.stem)
def test_the_stock_command_learns_of_the_weights(example: Path) -> None:
    """TorchGeo's own command imports us for a class of ours."""
    assert 'class_path: torchgeo_geosane.' in example.read_text()


def test_the_documentation_lists_every_example() -> None:
    page = (ROOT / 'docs' / 'examples.md').read_text()
    listed = re.findall(r'^\| `(\w+\.yaml)`', page, re.MULTILINE)
    assert set(listed) >= {example.name for example in EXAMPLES}
    for example in (ROOT / 'examples').glob('*.yaml'):
        assert example.name in page
    for example in EXAMPLES:
        weights = yaml.safe_load(example.read_text())['model']['init_args']['weights']
        assert weights is True or f'`{weights}`' in page
