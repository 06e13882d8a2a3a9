"""Make a prompt for EfficientNet-B0, of which no package has remote-sensing weights.

Its channels are the strongest of the packaged EfficientNet-B4's, its layers the first of each
stage. Where the folder examples is: python examples/compare/small_prompt.py
"""

import sys
from pathlib import Path

from safetensors.torch import save_file

from torchgeo_geosane import Spec
from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.compare.pruning import prune
from torchgeo_geosane.generate import take_prompt

OUTPUT = Path('output/compare/small_prompt.safetensors')


def main(output: Path = OUTPUT) -> None:
    """Prune and write."""
    large = Spec('tf_efficientnet_b4', 'sentinel2_6', prompts=('ukis:6b_l1c',))
    small = prune(take_prompt(large), 'tf_efficientnet_b0', large.target.in_chans)
    with replacing(output) as path:
        save_file(small, path, {'origin': large.url, 'licence': 'Apache-2.0'})
    print(f'{output}: {sum(tensor.numel() for tensor in small.values()):,} values')


if __name__ == '__main__':
    main(*map(Path, sys.argv[1:]))
