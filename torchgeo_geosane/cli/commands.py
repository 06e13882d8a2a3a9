"""What our own subcommands do."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from torchgeo_geosane import cache
from torchgeo_geosane.cli.tables import format_provenance, format_table
from torchgeo_geosane.errors import CacheError, GeoSANEError
from torchgeo_geosane.export import check_format, export, provenance_of
from torchgeo_geosane.foundry.foundry import OFFICIAL, is_local
from torchgeo_geosane.generate import generate, identify
from torchgeo_geosane.providers.catalog import Entry, catalogue, find_spec, is_name, official
from torchgeo_geosane.spec import Spec


def list_weights() -> None:
    """List the named weights: what they see, the prompt they come from, whether they are cached.

    Those of the official foundry come apart. Nothing is fetched.
    """
    print(_table_of(catalogue()))
    place = (
        'is in the local Hub cache' if is_local(OFFICIAL) else 'is fetched when it is first used'
    )
    print(f'\nBy the official foundry, {OFFICIAL}, which {place}:\n')
    print(_table_of(official()))


def generate_weights(name: str, out: Path, form: str | None = None, force: bool = False) -> None:
    """Generate weights and write them for another tool.

    Args:
        name: A name of the catalogue, or a ``geosane://`` URL.
        out: Where to.
        form: A form of :data:`torchgeo_geosane.export.FORMATS`; by default the suffix chooses.
        force: Replace what is there.
    """
    spec = find_spec(name)
    check_format(out, spec, form)
    if out.exists() and not force:
        raise CacheError(f'{out} exists: choose another name, or replace it with --force')
    generated = generate(spec, progress=sys.stderr.isatty())
    left_out = export(generated, out, form)
    print(f'{out}: {generated.provenance.url}')
    if left_out:
        print(f'left out, because the encoder does not use them: {", ".join(left_out)}')


def info(file: str, as_json: bool = False) -> None:
    """Show where weights come from.

    Args:
        file: A file that this program wrote, or the name or URL of cached weights.
        as_json: Print everything as JSON.
    """
    path = Path(file)
    if not path.exists() and is_name(file):
        spec = find_spec(file)
        # Without its foundry a key is not known, and asking for it would fetch the foundry.
        if is_local(spec.foundry):
            path = cache.path_of(spec, identify(spec))
        if not path.exists():
            raise CacheError(f'{file} is not cached: generate it first, or name a file')
    provenance = provenance_of(path)
    print(
        json.dumps(json.loads(provenance.to_json()), indent=2)
        if as_json
        else format_provenance(path, provenance)
    )


def list_cache() -> None:
    """List the cached weights, and where they lie."""
    rows = [
        (entry.path.name, f'{entry.size / 1e6:.1f} MB', entry.provenance.url)
        for entry in cache.entries()
    ]
    print(cache.directory())
    print(format_table(('file', 'size', 'spec'), rows))


def clear_cache() -> None:
    """Delete all cached weights."""
    deleted = cache.clear()
    print(f'{deleted} {"file" if deleted == 1 else "files"} deleted from {cache.directory()}')


def _table_of(entries: Iterable[Entry]) -> str:
    rows = [
        (
            entry.name,
            entry.spec.sensor,
            str(entry.spec.target.in_chans),
            ', '.join(entry.spec.prompts),
            'yes' if _is_cached(entry.spec) else 'no',
        )
        for entry in entries
    ]
    return format_table(('name', 'sensor', 'channels', 'prompt', 'cached'), rows)


def _is_cached(spec: Spec) -> bool:
    try:
        return is_local(spec.foundry) and cache.path_of(spec, identify(spec)).exists()
    except GeoSANEError:
        return False
