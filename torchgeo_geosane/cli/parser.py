"""The arguments of our own subcommands."""

from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from torchgeo_geosane.cli import commands
from torchgeo_geosane.export import FORMATS

_DESCRIPTION = """GeoSANE weights for TorchGeo, generated when asked for.

TorchGeo's own 'fit', 'validate', 'test' and 'predict' are subcommands too, with generated weights
known to them; with --scene, 'predict' makes a map of any scene:
  torchgeo-geosane examples --to first_steps && cd first_steps
  torchgeo-geosane fit --config examples/quickstart.yaml
  torchgeo-geosane predict --ckpt_path best.ckpt --scene scene.tif --out map.tif
"""

_FORMS = """formats:
  safetensors  *.safetensors: a state dict, with provenance in the header
  torchgeo     *.ckpt: for the weights argument of TorchGeo's tasks
  torchgeo-tu  *.ckpt: the same, for tu- encoders of its segmentation tasks
  folder       a folder: for timm's local-dir: (in TorchGeo too) and the Hugging Face Hub
"""


def run_command(arguments: Sequence[str]) -> None:
    """Parse the arguments of one of our own subcommands, and run it."""
    match list(arguments):
        case ['foundry', 'train', *rest]:
            _train_foundry(rest)
        case ['foundry', 'map', *rest]:
            _map_collection(rest)
        case ['foundry', 'info', *rest]:
            _show_foundry(rest)
        case ['collect', *rest]:
            _collect(rest)
        case ['compare', *rest]:
            _compare(rest)
        case ['rank', *rest]:
            _rank(rest)
        case ['export', *rest]:
            _export(rest)
        case ['describe', *rest]:
            _describe(rest)
        case ['examples', *rest]:
            _copy_examples(rest)
        case others:
            _run_quick(_parser().parse_args(others))


def _run_quick(parsed: Namespace) -> None:
    """Run a subcommand whose options need no long import."""
    match parsed.command:
        case 'list':
            commands.list_weights()
        case 'generate':
            chosen = parsed.generate
            commands.generate_weights(chosen.name, chosen.out, chosen.format, chosen.force)
        case 'info':
            commands.info(parsed.info.file, parsed.info.json)
        case 'cache':
            _cache(parsed.cache)


def _cache(parsed: Namespace) -> None:
    match parsed.command:
        case 'list':
            commands.list_cache()
        case 'clear':
            commands.clear_cache()


def _train_foundry(arguments: Sequence[str]) -> None:
    """Train a foundry; imported late, because its options are read from a signature of Lightning."""
    from torchgeo_geosane.cli.training import train

    train(arguments)


def _map_collection(arguments: Sequence[str]) -> None:
    """Draw the map of a collection; imported late, for the same reason."""
    from torchgeo_geosane.cli.mapping import map_collection

    map_collection(arguments)


def _show_foundry(arguments: Sequence[str]) -> None:
    """Show what a foundry knows."""
    from torchgeo_geosane.cli.foundry_info import show_foundry

    show_foundry(arguments)


def _export(arguments: Sequence[str]) -> None:
    """Write a finetuned model as ONNX; imported late, since it needs Lightning."""
    from torchgeo_geosane.cli.predicting import export_model

    export_model(arguments)


def _collect(arguments: Sequence[str]) -> None:
    """Put a collection together; imported late, for the same reason."""
    from torchgeo_geosane.cli.collecting import collect

    collect(arguments)


def _compare(arguments: Sequence[str]) -> None:
    """Compare initialisations, or aggregate comparisons; imported late, for the same reason."""
    if arguments[:1] == ['aggregate']:
        from torchgeo_geosane.cli.aggregating import aggregate_comparisons

        aggregate_comparisons(arguments[1:])
        return
    from torchgeo_geosane.cli.comparing import run_comparison

    run_comparison(arguments)


def _rank(arguments: Sequence[str]) -> None:
    """Rank weights for one's data; imported late, for the same reason."""
    from torchgeo_geosane.cli.ranking import run_ranking

    run_ranking(arguments)


def _describe(arguments: Sequence[str]) -> None:
    """Describe imagery; imported late, because it reads imagery."""
    from torchgeo_geosane.cli.describing import describe_imagery

    describe_imagery(arguments)


def _copy_examples(arguments: Sequence[str]) -> None:
    """Copy the examples out of the package."""
    from torchgeo_geosane.cli.examples import run_examples

    run_examples(arguments)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog='torchgeo-geosane',
        description=_DESCRIPTION,
        formatter_class=RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subcommands(dest='command')
    subcommands.add_subcommand('list', ArgumentParser(), help='list the named weights')
    subcommands.add_subcommand('generate', _generate_parser(), help='generate weights into a file')
    subcommands.add_subcommand('info', _info_parser(), help='show where weights come from')
    # Only named here, for the help: `run_command` passes it on.
    subcommands.add_subcommand(
        'examples',
        ArgumentParser(),
        help='copy the example configs and the data of the quickstart into a folder',
    )
    subcommands.add_subcommand(
        'describe',
        ArgumentParser(),
        help='show what would be read of your imagery (see its own --help)',
    )
    subcommands.add_subcommand(
        'collect',
        ArgumentParser(),
        help='put a collection of trained models together (see its own --help)',
    )
    subcommands.add_subcommand(
        'compare',
        ArgumentParser(),
        help='train one task from several initialisations; `compare aggregate`: several tasks on '
        'one scale (see their own --help)',
    )
    subcommands.add_subcommand(
        'rank',
        ArgumentParser(),
        help='rank weights for your data, before any training (see its own --help)',
    )
    subcommands.add_subcommand(
        'export',
        ArgumentParser(),
        help='write a finetuned model as ONNX (see its own --help)',
    )
    foundry = ArgumentParser(description='Foundries: weight-space autoencoders.')
    subcommands.add_subcommand(
        'foundry', foundry, help='train a foundry, show what it knows, map a collection'
    )
    cache = ArgumentParser(description='The cache of generated weights.')
    subcommands.add_subcommand('cache', cache, help='list or clear the cached weights')
    # jsonargparse wants nested subcommands added after their parent.
    nested = cache.add_subcommands(dest='command')
    nested.add_subcommand('list', ArgumentParser(), help='list the cached files')
    nested.add_subcommand('clear', ArgumentParser(), help='delete them all')
    # Only named here, too.
    learning = foundry.add_subcommands(dest='command')
    learning.add_subcommand(
        'train',
        ArgumentParser(),
        help='train a foundry on a collection of models (see its own --help)',
    )
    learning.add_subcommand(
        'info',
        ArgumentParser(),
        help='show what a foundry knows of every architecture (see its own --help)',
    )
    learning.add_subcommand(
        'map',
        ArgumentParser(),
        help='draw where the models of a collection lie for a foundry (see its own --help)',
    )
    return parser


def _generate_parser() -> ArgumentParser:
    parser = ArgumentParser(
        description='Generate weights and write them for another tool.',
        epilog=_FORMS,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', help='a name that `list` shows, or a geosane:// URL')
    parser.add_argument('--out', type=Path, required=True, help='a file or folder')
    parser.add_argument(
        '--format', choices=list(FORMATS), help='what to write; by default the suffix of --out says'
    )
    parser.add_argument('--force', action='store_true', help='replace what is there')
    return parser


def _info_parser() -> ArgumentParser:
    parser = ArgumentParser(description='Show where weights come from, and what each tensor is.')
    parser.add_argument(
        'file', help='a file written by `generate`, or the name or URL of cached weights'
    )
    parser.add_argument('--json', action='store_true', help='everything, as JSON')
    return parser
