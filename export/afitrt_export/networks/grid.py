"""GridNet: makes the picture out of splatted pictures and features."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import conv_pair


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.PReLU(),
        nn.ConvTranspose2d(inputs, outputs, 4, 2, 1),
        nn.PReLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1),
    )


class Tail(nn.Module):
    """Features [1, 64, h, w] to a picture [1, 3, 2h, 2w].

    As published: two 3x3 convolutions 64-64 and 64-256, shuffle by 2, 3x3 convolution 64-3. The last two are
    linear with only the shuffle between, so inside they equal one 5x5 convolution 64-12 before the shuffle; the
    outermost pixels, where the second zero padding shows, are made again as published from strips.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(64, 64, 3, 1, 1), nn.PReLU())
        self.upsample = nn.Sequential(nn.Conv2d(64, 256, 3, 1, 1))
        self.conv_last = nn.Conv2d(64, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_before_upsample(x)
        inner = F.pixel_shuffle(F.conv2d(x, *self._folded(), padding=2), 2)
        top = self._published(x[:, :, :2], left=1, right=1, top=1, bottom=0)
        bottom = self._published(x[:, :, -2:], left=1, right=1, top=0, bottom=1)
        left = self._published(x[:, :, :, :2], left=1, right=0, top=1, bottom=1)[:, :, 1:-1]
        right = self._published(x[:, :, :, -2:], left=0, right=1, top=1, bottom=1)[:, :, 1:-1]
        rows = torch.cat((left, inner[:, :, 1:-1, 1:-1], right), 3)
        return torch.cat((top, rows, bottom), 2)

    def _published(self, strip: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
        """The convolutions one by one, padded only on the sides where the strip ends with the picture."""
        pad = (left, right, top, bottom)
        upsample = self.upsample[0]
        wide = F.conv2d(F.pad(strip, pad), upsample.weight, upsample.bias)
        return F.conv2d(F.pad(F.pixel_shuffle(wide, 2), pad), self.conv_last.weight, self.conv_last.bias)

    def _folded(self) -> tuple[Tensor, Tensor]:
        """Weights [12, 64, 5, 5] and bias [12] of the one convolution, from the raw parameters."""
        # Output row 2y + a reads row 2y + a + i of the shuffled picture (i = -1, 0, 1), which is phase p of
        # row y + d: 2d + p = a + i. taps[i, (a, p, d)] is 1 where that holds; columns are alike.
        taps = [[[[2 * d + p == a + i for d in (-1, 0, 1)] for p in (0, 1)] for a in (0, 1)] for i in (-1, 0, 1)]
        taps = torch.tensor(taps, dtype=self.conv_last.weight.dtype).reshape(3, 12)
        spread = taps.T @ (self.conv_last.weight.reshape(192, 3, 3) @ taps)
        # [3, 64, (a, p, d), (b, q, e)] to [(3, a, b), (64, p, q), d, e]: conv_last before the shuffle.
        spread = spread.reshape(3, 64, 2, 2, 3, 2, 2, 3).permute(0, 2, 5, 1, 3, 6, 4, 7).reshape(12, 256, 3, 3)
        upsample = self.upsample[0]
        weight = F.conv2d(upsample.weight.transpose(0, 1), spread.flip(2, 3), padding=2).transpose(0, 1)
        bias = self.conv_last.bias.repeat_interleave(4) + spread.sum((2, 3)) @ upsample.bias
        return weight, bias


class GridNet(nn.Module):
    """Three rows of features at h, h/2, h/4, fed from the splats and joined into one picture.

    forward(x, x1, x2, x3): x [1, 9, h, w] = first half picture splatted, IFNet's merged picture, second half
    picture splatted, all RGB from 0 up; x1 [1, 128, h, w], x2 [1, 256, h/2, w/2], x3 [1, 384, h/4, w/4] = splatted
    features of both pictures; h, w multiples of 4. Returns [1, 3, 2h, 2w], RGB, not clamped.
    State dict: fusionnet_union.pkl, 133 tensors. `residual_model_head0.0.weight` is never read: it is the slope
    for negative pixels, and there are none.
    Source: GridNet (arXiv 1707.07958) as in GMFSS union (AFI-ForwardDeduplicate, GMFSS_Fortuna).
    """

    def __init__(self) -> None:
        super().__init__()
        self.residual_model_head0 = conv_pair(9, 64)
        self.residual_model_head1 = conv_pair(128, 64)
        self.residual_model_head2 = conv_pair(256, 128)
        self.residual_model_head3 = conv_pair(384, 192)
        for row, width in enumerate((64, 128, 192)):
            for column in (1, 4, 5):
                self.add_module(f"residual_model_{row}{column}", conv_pair(width, width))
        self.residual_model_tail = Tail()
        for column in (0, 1):
            self.add_module(f"downsample_model_1{column}", conv_pair(64, 128, stride=2))
            self.add_module(f"downsample_model_2{column}", conv_pair(128, 192, stride=2))
        for column in (4, 5):
            self.add_module(f"upsample_model_0{column}", _up(128, 64))
            self.add_module(f"upsample_model_1{column}", _up(192, 128))

    def forward(self, x: Tensor, x1: Tensor, x2: Tensor, x3: Tensor) -> Tensor:
        x00 = self.residual_model_head0[1:](x) + self.residual_model_head1(x1)
        x10 = self._down("10", x00) + self.residual_model_head2(x2)
        x20 = self._down("20", x10) + self.residual_model_head3(x3)
        x01 = self._residual("01", x00)
        x11 = self._residual("11", x10) + self._down("11", x01)
        x21 = self._residual("21", x20) + self._down("21", x11)
        x24 = self._residual("24", x21)
        x25 = self._residual("25", x24)
        x14 = self._residual("14", x11) + self._upwards("14", x24)
        x04 = self._residual("04", x01) + self._upwards("04", x14)
        x15 = self._residual("15", x14) + self._upwards("15", x25)
        x05 = self._residual("05", x04) + self._upwards("05", x15)
        return self.residual_model_tail(x05)

    def _residual(self, place: str, x: Tensor) -> Tensor:
        return self.get_submodule(f"residual_model_{place}")(x) + x

    def _down(self, place: str, x: Tensor) -> Tensor:
        return self.get_submodule(f"downsample_model_{place}")(x)

    def _upwards(self, place: str, x: Tensor) -> Tensor:
        return self.get_submodule(f"upsample_model_{place}")(x)
