"""A frozen encoder that another one is to agree with."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_geosane.models import ImageEncoder


class Teacher(nn.Module):
    """A frozen encoder, and the map to its width; without one, what agrees with everything."""

    def __init__(self, encoder: ImageEncoder | None, student_width: int) -> None:
        """Freeze the encoder.

        Args:
            encoder: Whom to agree with; None is nobody.
            student_width: Width of the student's features.
        """
        super().__init__()
        self.encoder = None if encoder is None else encoder.eval().requires_grad_(False)
        self.projection = (
            None if encoder is None else nn.Linear(student_width, encoder.out_channels)
        )

    @classmethod
    def of(cls, name: str | None, in_channels: int, student_width: int) -> 'Teacher':
        """A pretrained model by its timm name, which sees so many bands; None is nobody.

        Raises:
            ArchitectureError: If the model is unknown or has no feature map.
        """
        encoder = None if name is None else ImageEncoder(name, True, in_channels)
        return cls(encoder, student_width)

    def train(self, mode: bool = True) -> 'Teacher':
        """The teacher's running statistics stay as they are."""
        super().train(mode)
        if self.encoder is not None:
            self.encoder.eval()
        return self

    def forward(self, images: Tensor, student: Tensor) -> Tensor:
        """Mean cosine between the teacher's mean feature and the student's, mapped.

        Args:
            images: What both see, float ``[batch, in_channels, height, width]``.
            student: The student's mean features, float ``[batch, student_width]``.

        Returns:
            A scalar; 0 without a teacher.
        """
        if self.encoder is None or self.projection is None:
            return student.new_zeros(())
        with torch.no_grad():
            wanted = self.encoder(images).mean((-2, -1))
        return F.cosine_similarity(self.projection(student), wanted, dim=1).mean()
