"""``torchgeo-geosane predict --scene`` and ``export``: from scenes to maps, and models for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from jsonargparse import ArgumentParser

from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.finding import find_scenes
from torchgeo_geosane.predict.finetuned import load
from torchgeo_geosane.predict.layers import Stored
from torchgeo_geosane.predict.mapping import Inference, Mapper
from torchgeo_geosane.predict.model import Precision
from torchgeo_geosane.predict.portable import export_onnx
from torchgeo_geosane.predict.run import Outcome, Request, predict

_DESCRIPTION = """Predict scenes with a finetuned model, and write maps: cloud-optimised GeoTIFFs.

Without --scene or --options, this is TorchGeo's own predict, which takes the options of Lightning's trainer.
"""


def predict_scenes(arguments: Sequence[str]) -> None:
    """Parse the arguments, make the maps, and say what became of each scene.

    Raises:
        DataError: If some of several scenes failed.
    """
    chosen = vars(_parser().parse_args(list(arguments)))
    jobs = chosen.pop('jobs')
    del chosen['options']
    chosen['checkpoint'] = chosen.pop('ckpt_path')
    inference = Inference(**{name: chosen.pop(name) for name in Inference.__dataclass_fields__})
    outcomes = predict(Request(**chosen, inference=inference), jobs)
    for outcome in outcomes:
        print(_line(outcome))
    failed = [outcome.scene for outcome in outcomes if outcome.error is not None]
    if failed:
        raise DataError(f'{len(failed)} of {len(outcomes)} scenes failed: {", ".join(failed)}')


def export_model(arguments: Sequence[str]) -> None:
    """Parse the arguments, write a finetuned model as ONNX, and say how near it comes."""
    chosen = _export_parser().parse_args(list(arguments))
    if chosen.out.exists() and not chosen.force:
        raise DataError(f'{chosen.out} exists: choose another name, or replace it with --force')
    finetuned = load(chosen.ckpt_path, chosen.config)
    where = chosen.scene or finetuned.data.kwargs['images']
    scene = next(iter(find_scenes(finetuned.data, where).scenes.values()))
    mapper = Mapper(finetuned, scene.data, Inference(window=chosen.window, device='cpu'))
    worst, other = export_onnx(mapper, chosen.out, scene, chosen.tolerance)
    print(
        f'{chosen.out}: onnxruntime differs from torch by {worst:.1e} at most; {100 * other:.3f} % '
        f'of the pixels of {scene.name} have another class'
    )


def _line(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f'{outcome.scene}: FAILED: {outcome.error}'
    if outcome.map is None:
        return f'{outcome.path}: made before'
    total = sum(outcome.map.areas.values()) or 1.0
    shares = (f'{name} {100 * area / total:.1f} %' for name, area in outcome.map.areas.items())
    return f'{outcome.path}: {", ".join(shares)}' if outcome.map.areas else str(outcome.path)


def _export_parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog='torchgeo-geosane export',
        description='Write a finetuned model as ONNX, once onnxruntime gives what torch gives.',
    )
    add: Any = parser.add_argument
    add(
        '--config', type=Path | None, help='the fit: by default what it wrote beside the checkpoint'
    )
    add('--ckpt_path', type=Path, required=True, help='a checkpoint of the fit')
    add('--out', type=Path, required=True, help='an ONNX file')
    add('--scene', type=str | None, help="whose windows are compared: by default the config's")
    add('--window', type=int | None, help="a window's pixels: by default the training's patch size")
    add('--tolerance', type=float, default=1e-3, help='how far probabilities may differ')
    add('--force', action='store_true', help='replace what is there')
    return parser


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog='torchgeo-geosane predict', description=_DESCRIPTION)
    add: Any = parser.add_argument
    add('--options', action='config', help='a YAML file with the options below')
    add(
        '--config', type=Path | None, help='the fit: by default what it wrote beside the checkpoint'
    )
    add('--ckpt_path', type=Path, required=True, help='a checkpoint of the fit')
    add(
        '--scene',
        type=str | list[str] | dict[str, str | list[str]],
        required=True,
        help='a folder, a glob, a file, a JSON file of STAC items, or a list of these; for a model '
        'of several sensors a mapping: {sentinel2_all: …, sentinel1_grd: …}',
    )
    add(
        '--after',
        type=str | list[str] | dict[str, str | list[str]] | None,
        help='for change detection the files of the second date, on the grid of the first',
    )
    add('--out', type=Path, required=True, help='a GeoTIFF; for several scenes a folder')
    add('--window', type=int | None, help="a window's pixels: by default the training's patch size")
    add('--overlap', type=int | None, help='pixels that windows share: by default about a quarter')
    add('--batch_size', type=int | None, help="windows at once: by default the training's")
    add('--flips', action='store_true', help='average over flipped views: four times the work')
    add(
        '--precision',
        choices=get_args(Precision),
        default='32',
        help='of products: bf16 is fast on GPUs and new CPUs',
    )
    add('--device', type=str | None, help='as torch spells it: by default a GPU if there is one')
    add(
        '--probabilities',
        type=bool | Stored,
        nargs='?',
        const=True,
        default=False,
        metavar='TYPE',
        help='write probabilities, one band a class, as uint8, float16 or float32: by default '
        'float32 of change, else uint8',
    )
    add('--preview', type=Path | None, help='a PNG to look at; for several scenes a folder')
    add('--page', type=Path | None, help='an HTML page to look at; for several scenes a folder')
    add('--mosaic', action='store_true', help='make one map of all images')
    add('--force', action='store_true', help='replace maps that are there')
    add('--jobs', type=int, default=1, help='processes at once, for several scenes')
    return parser
