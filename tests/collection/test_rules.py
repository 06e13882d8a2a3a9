import pytest

from torchgeo_geosane.collection.formats import all_weights_files, weights_files
from torchgeo_geosane.collection.licences import refusal
from torchgeo_geosane.collection.modality import guess_modality


@pytest.mark.parametrize(
    'licence',
    [
        *('cc-by-nd-4.0', 'CC-BY-NC-ND-4.0', 'CC BY-NC-ND 4.0', 'cc_by_nd'),
        *('no-derivatives', 'Research-RAIL, No Derivatives', 'NoDerivs', 'All Rights Reserved'),
    ],
)
def test_licences_that_forbid_derivation(licence: str) -> None:
    assert refusal(licence, 'keep') == f'its licence forbids derivation: {licence}'


@pytest.mark.parametrize(
    'licence',
    ['mit', 'Apache-2.0', 'cc-by-nc-4.0', 'cc-by-sa-4.0', 'openrail', 'bigcode-openrail-m', 'ODbL'],
)
def test_licences_that_do_not(licence: str) -> None:
    assert refusal(licence, 'skip') is None


@pytest.mark.parametrize('licence', [None, '', 'unknown', 'other', ' Unknown '])
def test_no_licence(licence: str | None) -> None:
    assert refusal(licence, 'skip') == 'no licence is stated'
    assert refusal(licence, 'keep') is None


@pytest.mark.parametrize(
    ('text', 'modality'),
    [
        ('ResNet50_Weights.SENTINEL1_ALL_MOCO', 'sar'),
        ('ResNet50_Weights.SENTINEL2_ALL_MOCO', 'optical'),
        ('owner/flood-S1S2', 'optical and sar'),
        ('SSL4EO-S12', 'optical and sar'),
        ('Landsat-8 sar', 'optical and sar'),
        ('necessary-language-model', 'general'),
    ],
)
def test_modality(text: str, modality: str) -> None:
    assert guess_modality(text) == modality


def test_formats_by_preference() -> None:
    names = ['b.pth', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors']
    assert weights_files(names, ('safetensors', 'pickle')) == names[1:2]
    assert weights_files(names, ('pickle', 'safetensors')) == names[:1]
    assert weights_files(names, ('onnx',)) == []


def test_of_two_files_of_ncnn_the_layers_are_the_model() -> None:
    names = ['a/net.bin', 'a/net.param', 'other.bin']
    assert weights_files(names, ('ncnn', 'pickle')) == ['a/net.param']
    assert all_weights_files(names) == ['a/net.param', 'other.bin']


def test_files_of_tensorflow_lite() -> None:
    names = ['a/net.tflite', 'b.pth', 'c.tflite.md']
    assert weights_files(names, ('tflite', 'pickle')) == ['a/net.tflite']
    assert all_weights_files(names) == ['a/net.tflite', 'b.pth']
