"""TorchGeo's masked autoencoder, whose encoder keeps the weights that it is given."""

from functools import partial
from unittest.mock import patch

from lightly.models.modules import MaskedVisionTransformerTIMM
from torchgeo.tasks import MAE


class MAETask(MAE):
    """Masked autoencoding that goes on from weights; TorchGeo 0.10 and later.

    TorchGeo's task loads its weights into the ViT and then hands it to a module of lightly that
    initialises stem, class token and all linear layers anew, whatever they held. Here it leaves
    them, and the position embedding, as they are. Without weights it is TorchGeo's task.
    """

    def configure_models(self) -> None:
        """Build encoder and decoder."""
        if not self.weights:
            super().configure_models()
            return
        untouched = partial(
            MaskedVisionTransformerTIMM,
            weight_initialization='skip',
            pos_embed_initialization='skip',
        )
        with patch('torchgeo.tasks.mae.MaskedVisionTransformerTIMM', untouched):
            super().configure_models()
