"""MetricNet: how much each pixel should weigh where splatted pixels overlap."""

import torch
from torch import Tensor, nn

from .layers import Size, sample


def _length(flow: Tensor) -> Tensor:
    return (flow * flow).sum(1, keepdim=True).sqrt()


class MetricNet(nn.Module):
    """Importance of every pixel of both pictures of a pair, from how well the two flows explain each other.

    forward(half0, half1, flow01, flow10): half pictures [1, 3, h, w], RGB 0..1; flows [1, 2, h, w] in pixels of
    the half picture, x before y. Returns z0, z1 [1, 1, h, w] in -10..10. Nothing changes with the flow scale.
    State dict: metric_union.pkl, 14 tensors. Source: GMFSS union; occlusion by the forward-backward check of
    UnFlow (arXiv 1711.07837): |f01 + f10 at its target| > 0.01 (|f01| + |f10|) + 0.5.
    """

    def __init__(self) -> None:
        super().__init__()
        self.metric_in = nn.Conv2d(14, 64, 3, 1, 1)
        self.metric_net1 = nn.Sequential(nn.PReLU(), nn.Conv2d(64, 64, 3, 1, 1))
        self.metric_net2 = nn.Sequential(nn.PReLU(), nn.Conv2d(64, 64, 3, 1, 1))
        self.metric_net3 = nn.Sequential(nn.PReLU(), nn.Conv2d(64, 64, 3, 1, 1))
        self.metric_out = nn.Sequential(nn.PReLU(), nn.Conv2d(64, 2, 3, 1, 1))

    def forward(self, half0: Tensor, half1: Tensor, flow01: Tensor, flow10: Tensor) -> tuple[Tensor, Tensor]:
        size = (half0.shape[2], half0.shape[3])
        evidence = self._evidence(half0, half1, flow01, flow10, size)
        features = self.metric_in(evidence)
        for residual in (self.metric_net1, self.metric_net2, self.metric_net3):
            features = residual(features) + features
        z = torch.tanh(self.metric_out(features)) * 10
        return z[:, :1], z[:, 1:]

    def _evidence(self, half0: Tensor, half1: Tensor, flow01: Tensor, flow10: Tensor, size: Size) -> Tensor:
        # One read per direction brings the other picture and the other flow together.
        at0 = sample(torch.cat((half1, flow10), 1), flow01, size)
        at1 = sample(torch.cat((half0, flow01), 1), flow10, size)
        error0 = (half0 - at0[:, :3]).abs().mean(1, keepdim=True)
        error1 = (half1 - at1[:, :3]).abs().mean(1, keepdim=True)
        allowed = 0.01 * (_length(flow01) + _length(flow10)) + 0.5
        hidden0 = (_length(flow01 + at0[:, 3:]) > allowed).to(half0.dtype)
        hidden1 = (_length(flow10 + at1[:, 3:]) > allowed).to(half0.dtype)
        x0, x1 = (flow[:, :1] / ((size[1] - 1) / 2) for flow in (flow01, flow10))
        y0, y1 = (flow[:, 1:] / ((size[0] - 1) / 2) for flow in (flow01, flow10))
        return torch.cat((half0, half1, -error0, -error1, x0, y0, x1, y1, hidden0, hidden1), 1)
