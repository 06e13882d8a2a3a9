"""Which prompts are taken where none is named, as data."""

from torchgeo_geosane.sensors import whole_name

# TorchGeo's weights whose stem is the sensor's, or at least sees all of its bands. Of several
# methods the one TorchGeo offers for most sensors is taken: MoCo, for the larger ViTs MAE.
_LANDSAT = {
    'landsat_tm_toa': 'LANDSAT_TM_TOA_MOCO',
    'landsat_etm_toa': 'LANDSAT_ETM_TOA_MOCO',
    'landsat_etm_sr': 'LANDSAT_ETM_SR_MOCO',
    'landsat_oli_tirs_toa': 'LANDSAT_OLI_TIRS_TOA_MOCO',
    'landsat_oli_sr': 'LANDSAT_OLI_SR_MOCO',
}


def _sentinel2(member: str) -> dict[str, str]:
    """The same 13-band weights for all of Sentinel-2's band sets."""
    return dict.fromkeys(('sentinel2_all', 'sentinel2_6', 'sentinel2_4', 'sentinel2_rgb'), member)


_MAE = {**_sentinel2('SENTINEL2_ALL_MAE'), 'sentinel1_grd': 'SENTINEL1_GRD_MAE'}

_TORCHGEO: dict[str, tuple[str, dict[str, str]]] = {
    'resnet18': (
        'ResNet18_Weights',
        {**_sentinel2('SENTINEL2_ALL_MOCO'), 'sentinel2_rgb': 'SENTINEL2_RGB_MOCO', **_LANDSAT},
    ),
    'resnet50': (
        'ResNet50_Weights',
        {
            **_sentinel2('SENTINEL2_ALL_MOCO'),
            'sentinel2_rgb': 'SENTINEL2_RGB_MOCO',
            'sentinel1_grd': 'SENTINEL1_ALL_MOCO',
            'rgb': 'FMOW_RGB_GASSL',
            **_LANDSAT,
        },
    ),
    # Nine bands in an order of their own; SI are the models that see a single image.
    'resnet152': (
        'ResNet152_Weights',
        {**_sentinel2('SENTINEL2_SI_MS_SATLAS'), 'sentinel2_rgb': 'SENTINEL2_SI_RGB_SATLAS'},
    ),
    'vit_small_patch16_224': (
        'ViTSmall16_Weights',
        {**_MAE, **_sentinel2('SENTINEL2_ALL_MOCO'), **_LANDSAT},
    ),
    'vit_base_patch16_224': ('ViTBase16_Weights', _MAE),
    'vit_large_patch16_224': ('ViTLarge16_Weights', _MAE),
    'vit_huge_patch14_224': ('ViTHuge14_Weights', _MAE),
}

# All there are: weights drawn around several are better to finetune from than around one (measured,
# see the documentation). The first one's bands are the stem's.
_PACKAGED = {'tf_efficientnet_b4': ('ukis:6b_l1c', 'ukis:6b_l2a', 'ukis:4b_l1c', 'ukis:4b_l2a')}
# For single sensors.
_PACKAGED_FOR = {
    ('tf_efficientnet_b4', 'rgbn'): ('kelp:kelp_presence_rgbn',),
    **dict.fromkeys((('mobilenetv2_100', s) for s in ('rgb', 'rgbn')), ('mobilenet:imagenet',)),
    **dict.fromkeys(
        (('mobilenetv3_large_100', s) for s in ('rgb', 'rgbn')), ('kelp:kelp_presence',)
    ),
}
_RADAR = {'sentinel1_grd'}


def default_prompts(architecture: str, sensor_name: str) -> tuple[str, ...]:
    """The prompts for an architecture and a sensor where none is named.

    Args:
        architecture: A timm architecture.
        sensor_name: The sensor's name; a selection such as ``'sentinel2_all[B4,B3]'`` and stacked
            images such as ``'sentinel2_all*2'`` count as their sensor.

    Returns:
        TorchGeo's remote-sensing weights where they exist, then the packaged encoders, then
        timm's default weights.
    """
    sensor_name = whole_name(sensor_name)
    enum, members = _TORCHGEO.get(architecture, ('', {}))
    if sensor_name in members:
        return (f'torchgeo:{enum}.{members[sensor_name]}',)
    if (architecture, sensor_name) in _PACKAGED_FOR:
        return _PACKAGED_FOR[architecture, sensor_name]
    if architecture in _PACKAGED and sensor_name not in _RADAR:
        return _PACKAGED[architecture]
    return (f'timm:{architecture}',)
