"""How long a ranking of ten weights takes, with an empty cache.

    pip install -e ".[offline]"
    python benchmarks/rank_seconds.py

Both scenes of ``examples/compare``, one thread. Writes docs/benchmarks/rank_seconds.md and the
gallery's picture of a ranking, docs/_static/ranked.png.
"""

import os
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import torch
import yaml
from measure import machine

from torchgeo_geosane import cache
from torchgeo_geosane.rank import Ranking, Wanted, rank
from torchgeo_geosane.rank.drawing import draw_scores

ROOT = Path(__file__).parents[1]
REPORT = ROOT / 'docs' / 'benchmarks' / 'rank_seconds.md'
PICTURE = ROOT / 'docs' / '_static' / 'ranked.png'
SCENES = ('landsat7', 'sentinel2_landuse')
# Seven of EfficientNet-B4 (four prompts, their average, generated, random), and three random ones.
WANTED = Wanted(
    architecture=('tf_efficientnet_b4', 'resnet18', 'resnet50', 'vit_small_patch16_224'),
    offline=True,
)
HEADER = '| scene | images | weights | CPU s | wall s |\n| --- | --- | --- | --- | --- |\n'


def main() -> None:
    """Rank on both scenes, and write the table and the picture."""
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    os.chdir(ROOT)
    rows = []
    for scene in SCENES:
        content = yaml.safe_load((ROOT / 'examples' / 'compare' / f'{scene}.yaml').read_text())
        with tempfile.TemporaryDirectory() as folder:
            os.environ[cache.ENVIRONMENT] = folder
            began = time.process_time()
            ranking = rank(content['fit'], WANTED)
            seconds = time.process_time() - began
        rows.append(row(scene, ranking, seconds))
        if scene == SCENES[0]:
            draw_scores(ranking).savefig(PICTURE, dpi=100)
    REPORT.write_text(
        f'{machine()} Regenerate: `python benchmarks/rank_seconds.py`. Nothing was in the cache.\n\n'
        f'{HEADER}{"".join(rows)}'
    )
    print(REPORT.read_text())


def row(scene: str, ranking: Ranking, seconds: float) -> str:
    """A line of the table."""
    height, width = ranking.data.size
    kinds = Counter(each.contender.kind for each in ranking.ranked)
    told = ', '.join(f'{count} {kind}' for kind, count in kinds.most_common())
    return (
        f'| {scene} | {ranking.data.count} of {height} × {width} | {len(ranking.ranked)}: {told} '
        f'| {seconds:.0f} | {ranking.seconds:.0f} |\n'
    )


if __name__ == '__main__':
    main()
