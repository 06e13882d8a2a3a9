"""GeoSANE as a weights provider: importing it makes its weights known to TorchGeo and to timm.

>>> import torchgeo_geosane
>>> from torchgeo.models import get_weight
>>> weights = get_weight('GeoSANE_EfficientNetB4_Weights.SENTINEL2_ALL')
>>> state_dict = weights.get_state_dict()  # generated now, cached for the next time
"""

import importlib.util

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers import ensemble, geosane, terratorch
from torchgeo_geosane.sensors import Band, Sensor, find_sensor, get_sensor
from torchgeo_geosane.spec import Spec

__all__ = [
    'Band',
    'Generated',
    'GeoSANEError',
    'Sensor',
    'Spec',
    'find_sensor',
    'generate',
    'get_sensor',
]
__version__ = '0.2.0'

geosane.register()
ensemble.register()
terratorch.register()
# Who uses timm alone, or a tool built on it, needs no TorchGeo.
if importlib.util.find_spec('torchgeo'):
    from torchgeo_geosane.providers.torchgeo import register, weights

    __all__ += ['weights']
    register()
