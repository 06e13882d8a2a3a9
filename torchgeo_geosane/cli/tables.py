"""Plain-text tables."""

from collections.abc import Sequence
from pathlib import Path

from torchgeo_geosane.provenance import Provenance


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned to the left, under a header."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ['-' * width for width in widths]
    return '\n'.join(
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, rule, *rows]
    )


def format_provenance(path: Path, provenance: Provenance) -> str:
    """Provenance for a person to read."""
    stem = provenance.stem
    adapted = f'adapted from {", ".join(stem.prompt_bands)}' if stem.adapted else "as the prompt's"
    lines = [
        ('file', str(path)),
        ('spec', provenance.url),
        ('key', provenance.key),
        ('architecture', provenance.architecture),
        ('sensor', provenance.sensor),
        ('bands', ', '.join(stem.bands)),
        ('stem', f'{", ".join(stem.tensors)}, {adapted}'),
        ('foundry', f'{provenance.foundry} (sha256 {provenance.foundry_fingerprint[:16]}…)'),
        *(
            ('prompt', f'{p.name}, from {p.source} ({p.licence}; {p.fingerprint[:32]})')
            for p in provenance.prompts
        ),
        ('licence', provenance.licence),
        (
            'versions',
            ', '.join(f'{name} {version}' for name, version in provenance.versions.items()),
        ),
        ('coverage', ', '.join(f'{count} {kind}' for kind, count in provenance.counts().items())),
    ]
    return '\n'.join(f'{name:<13}{value}' for name, value in lines)
