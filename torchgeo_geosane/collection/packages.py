"""Python packages with trained models inside; found without being imported or any network."""

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torchgeo_geosane.collection.base import CollectionError, Modality, TrainedModel
from torchgeo_geosane.collection.formats import INSTALL, read_onnx, read_state_dict
from torchgeo_geosane.foundry.source import TensorSource


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
        read: Reads one of its files.
        files: For each model its path inside the package and the sha256 of that file.
    """

    name: str
    version: str
    licence: str
    modality: Modality
    task: str
    architecture: str
    read: Callable[[Path], TensorSource]
    files: Mapping[str, tuple[str, str]]

    def models(self) -> Iterator[TrainedModel]:
        """The package's models.

        Raises:
            CollectionError: If the package is missing or of another version.
        """
        found = self._distribution()
        for model, (file, sha256) in self.files.items():
            path = Path(str(found.locate_file(file)))
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
                load=partial(_load, path, sha256, self.read),
            )

    def licence_text(self) -> str:
        """The licence as the package itself states it: its licence files, or else its metadata."""
        found = self._distribution()
        files = [f for f in found.files or [] if f.parent.name != '' and 'licen' in f.name.lower()]
        texts = [file.read_text(encoding='utf-8') for file in files if '.dist-info' in str(file)]
        return '\n\n'.join(texts) or f'{self.licence} (the package ships no licence text)\n'

    def _distribution(self) -> importlib.metadata.Distribution:
        try:
            found = importlib.metadata.distribution(self.name)
        except importlib.metadata.PackageNotFoundError as error:
            raise CollectionError(
                f'the collection needs the package {self.name}, which is not installed: {INSTALL}'
            ) from error
        if found.version != self.version:
            raise CollectionError(
                f'the collection names {self.name} {self.version}, installed is {found.version}: '
                f'{INSTALL}'
            )
        return found


def _load(path: Path, sha256: str, read: Callable[[Path], TensorSource]) -> TensorSource:
    try:
        with path.open('rb') as stream:
            found = hashlib.file_digest(stream, 'sha256').hexdigest()
    except OSError as error:
        raise CollectionError(
            f'a model of the collection cannot be read: {error}; {INSTALL}'
        ) from error
    if found != sha256:
        raise CollectionError(
            f'{path} is not the file that the collection names: its sha256 is {found}, '
            f'expected {sha256} (another version, or damaged); reinstall it: {INSTALL}'
        )
    return read(path)


# Wieland et al. 2019, doi:10.1016/j.rse.2019.05.022; https://github.com/dlr-eoc/ukis-csmask
UKIS_CSMASK = PackageSource(
    name='ukis-csmask',
    version='1.0.0',
    licence='Apache-2.0',
    modality='optical',
    task='cloud and shadow segmentation, Sentinel-2 and Landsat',
    architecture='U-Net, EfficientNet-B4 encoder',
    read=read_onnx,
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
    read=read_state_dict,
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
