"""Mean and standard deviation of each band of a data set, over its training part.

Every file is read once, one image in memory at a time; pixels without data do not count. Printed as
its data module's ``scales`` state them: radar in dB, of clipped values.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from torchgeo_geosane import datamodules
from torchgeo_geosane.datamodules.images import ImageDataModule
from torchgeo_geosane.errors import did_you_mean

SUFFIX = 'DataModule'


def main(arguments: Sequence[str] | None = None) -> None:
    known = [
        name.removesuffix(SUFFIX)
        for name in datamodules.__all__
        if issubclass(getattr(datamodules, name), ImageDataModule)
    ]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('dataset', help=f'one of {", ".join(known)}')
    parser.add_argument('root', type=Path, help='its folder')
    parser.add_argument('--bands', nargs='+', help='default: those of the data module')
    given = parser.parse_args(arguments)
    if given.dataset not in known:
        parser.error(f'unknown data set {given.dataset!r}{did_you_mean(given.dataset, known)}')
    chosen = {'bands': given.bands} if given.bands else {}
    module = getattr(datamodules, given.dataset + SUFFIX)(given.root, **chosen)
    for band, mean, std in zip(module.bands, *module.statistics(), strict=True):
        limits = module.scales[band].limits
        clipped = '' if limits is None else f', limits={limits}'
        print(f'{band!r}: BandScale({mean:.6g}, {std:.6g}{clipped}),')


if __name__ == '__main__':
    main()
