"""What a model sees, guessed from the words of its name and tags."""

import re

from torchgeo_geosane.collection.base import Modality

_SAR = re.compile(r'\b(sentinel ?1|s1|sar|insar|grd|slc|radar|terrasar|capella|umbra)\b')
_OPTICAL = re.compile(
    r'\b(sentinel ?2|s2|landsat|multi ?spectral|hyper ?spectral|optical|naip|fmow|aerial|modis)\b'
)


def guess_modality(*texts: str) -> Modality:
    """The modality that the texts speak of; ``general`` where they speak of none.

    Examples:
        >>> guess_modality('ResNet50_Weights.SENTINEL1_ALL_MOCO')
        'sar'
    """
    # Names are cut at every sign that is neither letter nor digit.
    text = re.sub(r'[\W_]+', ' ', ' '.join(texts).lower())
    text = re.sub(r'\bs1 ?s2\b|\bs12\b', 's1 s2', text)
    match bool(_OPTICAL.search(text)), bool(_SAR.search(text)):
        case True, True:
            return 'optical and sar'
        case True, False:
            return 'optical'
        case False, True:
            return 'sar'
        case _:
            return 'general'
