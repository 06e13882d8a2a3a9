"""Satellite images, photos and places aligned: GAIR (arXiv 2503.16683) as a task.

Written from the paper's equations. What differs is said in ``docs/geo_alignment.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import DataError, SpecError, did_you_mean
from torchgeo_geosane.models import ImageEncoder
from torchgeo_geosane.models.interpolation import Interpolation, check_interpolation, interpolation
from torchgeo_geosane.models.location import GLOBAL_SIGMAS
from torchgeo_geosane.models.location_encoders import LocationEncoderName, location_encoder
from torchgeo_geosane.tasks.contrast import info_nce, recall, same_place
from torchgeo_geosane.tasks.teacher import Teacher
from torchgeo_geosane.tasks.versions import BaseTask

Objective = Literal['incl', 'secl']

_TEACHER_SHARE = 0.2
_RECALLS = (1, 10)


@dataclass(frozen=True)
class Embeddings:
    """What a batch of photos looks like to the three encoders.

    Attributes:
        photo: Of the photos, float ``[batch, embed_dim]``.
        local: Of the satellite images at the photos' points, same shape.
        location: Of the coordinates, same shape.
        agreement: Cosine of either image encoder with its frozen teacher, summed, a scalar.
    """

    photo: Tensor
    local: Tensor
    location: Tensor
    agreement: Tensor


class GeoAlignmentTask(BaseTask):
    """Aligns satellite image, photo and coordinate of the same place.

    A batch holds ``image``, float ``[batch, in_channels, height, width]``; ``photo``, float
    ``[batch, 3, height, width]``; ``point``, where the photo was taken in the image, float ``[batch,
    2]`` from -1 to 1 (x to the right, y down); and ``location``, longitude and latitude in degrees,
    float ``[batch, 2]``.

    The implicit neural contrastive loss (``incl``) compares the photo with the satellite image's
    embedding at the photo's point, both ways, against the other photos of the batch. The spatially
    explicit one (``secl``) compares either with the embedding of its coordinate, against those of
    ``queue_size`` earlier coordinates, encoded anew in each step.

    Validation logs ``val_loss`` and recalls over all validation photos, as
    ``val_photo_to_image_R@10``.
    """

    ignore = None

    def __init__(
        self,
        satellite: str = 'resnet18',
        photo: str = 'resnet18',
        satellite_pretrained: bool = False,
        photo_pretrained: bool = False,
        in_channels: int = 3,
        embed_dim: int = 768,
        interpolation: Interpolation = 'local',
        objectives: Sequence[Objective] = ('incl', 'secl'),
        satellite_teacher: str | None = None,
        photo_teacher: str | None = None,
        location_encoder: LocationEncoderName = 'fourier',
        location_pretrained: bool = False,
        location_hidden: int = 1024,
        location_sigmas: Sequence[float] = GLOBAL_SIGMAS,
        queue_size: int = 4096,
        temperature: float = 0.07,
        lr: float = 1e-4,
        weight_decay: float = 0.05,
    ) -> None:
        """Build the encoders.

        Args:
            satellite: Encoder of the satellite images: any timm name with a feature map, also of
                ours, ``geosane_resnet18.sentinel2_all``.
            photo: Encoder of the photos, likewise.
            satellite_pretrained: Whether the encoder starts from the weights of its name.
            photo_pretrained: The same for the photos'.
            in_channels: Bands of the satellite images.
            embed_dim: Width of the common embedding.
            interpolation: How the feature map is read at a point: ``local``, ``bilinear``,
                ``nearest``; or ``mean`` over the whole image, whatever the point.
            objectives: ``incl``, ``secl`` or both.
            satellite_teacher: A frozen, pretrained model by its timm name that the satellite
                encoder's mean feature is to agree with; it sees the same bands.
            photo_teacher: The same for the photos.
            location_encoder: ``fourier``, the paper's; or ``satclip``, TorchGeo's (0.10 and later).
            location_pretrained: Whether ``satclip`` starts from its weights.
            location_hidden: Width of the layers of ``fourier``.
            location_sigmas: Its scales, see
                :class:`~torchgeo_geosane.models.location.LocationEncoder`; the default ones are
                for the globe.
            queue_size: Earlier coordinates that are kept as negatives.
            temperature: What cosines are divided by.
            lr: Learning rate of AdamW.
            weight_decay: AdamW's.

        Raises:
            SpecError: If an objective, the interpolation or the location encoder is unknown, or no
                objective is named.
            ArchitectureError: If an encoder is unknown, not there or has no feature map.
        """
        wrong = [name for name in objectives if name not in get_args(Objective)]
        if wrong or not objectives:
            hint = did_you_mean(wrong[0], get_args(Objective)) if wrong else ''
            raise SpecError(f'objectives {list(objectives)}: name incl, secl or both{hint}')
        check_interpolation(interpolation)
        if queue_size < 1:
            raise SpecError(f'a queue of {queue_size} coordinates holds no negative: give more')
        super().__init__()

    def configure_models(self) -> None:
        """Build the encoders and what brings them to one width."""
        options, width = self.hparams, self.hparams['embed_dim']
        self.satellite = ImageEncoder(
            options['satellite'], options['satellite_pretrained'], options['in_channels']
        )
        self.photo = ImageEncoder(options['photo'], options['photo_pretrained'])
        self.local = interpolation(options['interpolation'], self.satellite.out_channels, width)
        self.photo_projection = nn.Linear(self.photo.out_channels, width)
        self.location = location_encoder(
            options['location_encoder'],
            width,
            options['location_hidden'],
            options['location_sigmas'],
            options['location_pretrained'],
        )
        self.satellite_teacher = Teacher.of(
            options['satellite_teacher'], options['in_channels'], self.satellite.out_channels
        )
        self.photo_teacher = Teacher.of(options['photo_teacher'], 3, self.photo.out_channels)
        self.queue: Tensor
        # Until it is full, what was never written has no part in the loss.
        self.register_buffer('queue', torch.zeros(options['queue_size'], 2, dtype=torch.float64))
        self.queued: Tensor
        self.register_buffer('queued', torch.zeros((), dtype=torch.int64))
        self._seen: list[tuple[Embeddings, Tensor]] = []

    def configure_optimizers(self) -> Any:
        """AdamW, β = (.9, .95), as in the paper."""
        return torch.optim.AdamW(
            [parameter for parameter in self.parameters() if parameter.requires_grad],
            lr=self.hparams['lr'],
            betas=(0.9, 0.95),
            weight_decay=self.hparams['weight_decay'],
        )

    def embed(self, batch: dict[str, Tensor]) -> Embeddings:
        """The embeddings of a batch, see the class.

        Raises:
            LocationError: If a coordinate is not on the globe, or a point not in its image.
        """
        satellite, photo = self.satellite(batch['image']), self.photo(batch['photo'])
        satellite_mean, photo_mean = satellite.mean((-2, -1)), photo.mean((-2, -1))
        agreement = self.satellite_teacher(batch['image'], satellite_mean)
        return Embeddings(
            photo=self.photo_projection(photo_mean),
            local=self.local(satellite, batch['point'][:, None])[:, 0],
            location=self.location(batch['location']),
            agreement=agreement + self.photo_teacher(batch['photo'], photo_mean),
        )

    def forward(self, batch: dict[str, Tensor]) -> Embeddings:
        """See :meth:`embed`."""
        return self.embed(batch)

    def losses(self, found: Embeddings, locations: Tensor) -> dict[str, Tensor]:
        """The loss of a batch, as ``loss``, and what it is made of.

        Args:
            found: Its embeddings.
            locations: Its coordinates, ``[batch, 2]``.

        Raises:
            DataError: If the batch, over all processes, is a single place, which leaves nothing to
                contrast.
        """
        parts: dict[str, Tensor] = {}
        if 'incl' in self.hparams['objectives']:
            parts['incl'] = self._implicit(found, locations)
        if 'secl' in self.hparams['objectives']:
            parts['secl'] = self._explicit(found, locations)
        loss = torch.stack(list(parts.values())).sum() / 2 - _TEACHER_SHARE * found.agreement
        return {'loss': loss, **parts}

    def _implicit(self, found: Embeddings, locations: Tensor) -> Tensor:
        places = self._gathered(locations)
        same = same_place(locations, places)
        if same.all():
            raise DataError(
                f'all {len(places)} photos of a batch are of one place: nothing is left to '
                'contrast, so raise batch_size, or give photos of several places'
            )
        first = len(locations) * self.global_rank
        own = torch.arange(first, first + len(locations), device=locations.device)
        photos, locals_ = self._gathered(found.photo), self._gathered(found.local)
        temperature = self.hparams['temperature']
        return info_nce(found.photo, locals_, same, own, temperature) + info_nce(
            found.local, photos, same, own, temperature
        )

    def _explicit(self, found: Embeddings, locations: Tensor) -> Tensor:
        earlier = self.queue[: int(self.queued.clamp(max=len(self.queue)))]
        keys = torch.cat([found.location, self.location(earlier)])
        own = torch.arange(len(locations), device=locations.device)
        same = same_place(locations, torch.cat([locations.to(earlier), earlier]))
        # The batch's other coordinates are in the queue in the next step.
        same[:, : len(own)] = True
        temperature = self.hparams['temperature']
        return info_nce(found.photo, keys, same, own, temperature) + info_nce(
            found.local, keys, same, own, temperature
        )

    @torch.no_grad()
    def _enqueue(self, locations: Tensor) -> None:
        new = self._gathered(locations).to(self.queue)[-len(self.queue) :]
        at = (int(self.queued) + torch.arange(len(new), device=new.device)) % len(self.queue)
        self.queue[at] = new
        self.queued += len(new)

    def _gathered(self, values: Tensor) -> Tensor:
        """Those of all processes, one after the other, with gradients."""
        if self._trainer is None or self.trainer.world_size == 1:
            return values
        return torch.cat(all_gather(values.contiguous()))  # type: ignore[no-untyped-call]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch; its coordinates join the queue."""
        losses = self.losses(self.embed(batch), batch['location'])
        self._enqueue(batch['location'])
        self.log_dict(
            {f'train_{name}': value for name, value in losses.items()},
            batch_size=len(batch['location']),
        )
        return losses['loss']

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._seen.clear()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log the loss, and keep the embeddings."""
        found = self.embed(batch)
        self._seen.append((found, batch['location']))
        if not same_place(batch['location'], batch['location']).all():
            losses = self.losses(found, batch['location'])
            self.log('val_loss', losses['loss'], batch_size=len(batch['location']), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log how often photo, image and coordinate of a place find each other."""
        self._log_recalls('val')

    def _log_recalls(self, stage: str) -> None:
        places = self._gathered(torch.cat([locations for _, locations in self._seen]))
        photo, local, location = (
            self._gathered(torch.cat([getattr(found, name) for found, _ in self._seen]))
            for name in ('photo', 'local', 'location')
        )
        same = same_place(places, places)
        pairs = {
            'photo_to_image': (photo, local),
            'image_to_photo': (local, photo),
            'photo_to_location': (photo, location),
            'image_to_location': (local, location),
        }
        for name, (queries, keys) in pairs.items():
            for within in _RECALLS:
                value = recall(queries, keys, same, within)
                # All processes have computed it on everything.
                self.log(f'{stage}_{name}_R@{within}', value, sync_dist=True)

    def on_test_epoch_start(self) -> None:
        """Forget the last validation."""
        self._seen.clear()

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Keep the embeddings."""
        self._seen.append((self.embed(batch), batch['location']))

    def on_test_epoch_end(self) -> None:
        """Log how often photo, image and coordinate of a place find each other."""
        self._log_recalls('test')

    def save_satellite_encoder(self, path: Path) -> None:
        """Write the satellite encoder as a checkpoint that TorchGeo's tasks take as ``weights``.

        It is a prompt, too: ``file:PATH``.

        Args:
            path: The file, ``satellite.ckpt`` say; replaced only once it is complete.

        Raises:
            CacheError: If the disk refuses.
        """
        model: Any = self.satellite.model
        tensors = {f'model.{name}': tensor.cpu() for name, tensor in model.state_dict().items()}
        architecture = model.pretrained_cfg['architecture']
        content = {'hyper_parameters': {'model': architecture}, 'state_dict': tensors}
        with replacing(path) as provisional:
            torch.save(content, provisional)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Embeddings:
        """The embeddings of a batch."""
        return self.embed(batch)
