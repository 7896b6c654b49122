"""The workloads of the benchmark `training` in PyTorch: one JSON line per workload and variant, which `--peers` reads.

Three variants: channels first, channels last, and, if the processor has instructions for it, channels last under autocast to
bf16. bf16 is less exact than the arithmetic of backstitch, so it has a column of its own."""
import contextlib

import peer
import torch
from torch import nn

options = peer.arguments(__doc__).parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)


def dense(*units):
    layers = [nn.Flatten()]
    for inputs, outputs in zip(units, units[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return layers[:-1]


def conv(channels, filters, kernel, padding="same"):
    return [nn.Conv2d(channels, filters, kernel, padding=padding), nn.ReLU()]


def cnn2():
    layers = []
    for channels, filters, kernel in [(1, 16, 7), (16, 32, 3), (32, 64, 3)]:
        layers += conv(channels, filters, kernel) + [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, *dense(576, 64, 10))


def cnn4():
    def normed(*shape):
        return conv(*shape) + [nn.BatchNorm2d(shape[1])]

    def pooled(channels):
        return [nn.MaxPool2d(2), nn.BatchNorm2d(channels)]

    return nn.Sequential(
        *normed(1, 64, 7), *pooled(64),
        *normed(64, 128, 5), *normed(128, 128, 3), *pooled(128),
        *normed(128, 256, 3), *normed(256, 256, 3), nn.MaxPool2d(2),
        *dense(2304, 128, 64, 10),
    )  # fmt: skip


def traditional():
    convolutions = [*conv(1, 32, 5), nn.MaxPool2d(2), *conv(32, 64, 3), nn.MaxPool2d(2), *conv(64, 128, 1)]
    flat, *head = dense(6272, 1024, 32, 10)
    return nn.Sequential(*convolutions, nn.Dropout(0.2), flat, *head[:2], nn.Dropout(0.25), *head[2:])


def lenet5():
    convolutions = [*conv(3, 32, 5, 0), nn.MaxPool2d(4), *conv(32, 64, 5, 0), nn.MaxPool2d(4)]
    return nn.Sequential(*convolutions, *dense(256, 1021, 84, 101))


def resnet18():
    from torchvision.models import resnet18

    return resnet18(num_classes=101)


def vgg16_features():
    from torchvision.models import vgg16

    return vgg16(weights=None).features


def mlp():
    return nn.Sequential(*dense(784, 256, 128, 64, 10))


def depthwise():
    def norm():
        return [nn.BatchNorm2d(64), nn.ReLU()]

    convolutions = [nn.Conv2d(64, 64, 3, padding=1, groups=64), *norm(), nn.Conv2d(64, 64, 1), *norm()]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), *dense(64, 10))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()

        def level(channels, filters):
            return nn.Sequential(*conv(channels, filters, 3, 1), *conv(filters, filters, 3, 1))

        self.down1, self.down2, self.lowest = level(1, 16), level(16, 32), level(32, 64)
        self.up2, self.level2 = nn.ConvTranspose2d(64, 32, 2, 2), level(64, 32)
        self.up1, self.level1 = nn.ConvTranspose2d(32, 16, 2, 2), level(32, 16)
        self.last = nn.Conv2d(16, 1, 1)

    def forward(self, x):
        pool = nn.functional.max_pool2d
        one = self.down1(x)
        two = self.down2(pool(one, 2))
        below = self.level2(torch.cat((two, self.up2(self.lowest(pool(two, 2)))), 1))
        return self.last(self.level1(torch.cat((one, self.up1(below)), 1)))


GREY, COLOUR = (1, 28, 28), (3, 64, 64)
# Network, batch, shape of a sample, classes (none for binary cross-entropy of every output), optimizer (none for inference).
WORKLOADS = {
    "mlp_b32": (mlp, 32, GREY, 10, torch.optim.SGD),
    "mlp_b1024": (mlp, 1024, GREY, 10, torch.optim.SGD),
    "cnn2_b64": (cnn2, 64, GREY, 10, torch.optim.Adam),
    "cnn4_b64": (cnn4, 64, GREY, 10, torch.optim.Adam),
    "trad_b1024": (traditional, 1024, GREY, 10, torch.optim.Adam),
    "lenet64_b64": (lenet5, 64, COLOUR, 101, torch.optim.Adam),
    "resnet18_b32": (resnet18, 32, COLOUR, 101, torch.optim.Adam),
    "depthwise_b64": (depthwise, 64, (64, 28, 28), 10, torch.optim.Adam),
    "unet_b16": (UNet, 16, GREY, None, torch.optim.Adam),
    "vgg16_infer_b32": (vgg16_features, 32, (3, 32, 32), 0, None),
    "cnn2_infer_b1": (cnn2, 1, GREY, 10, None),
    "resnet18_infer_b1": (resnet18, 1, COLOUR, 101, None),
}


def steps(name, layout, precision):
    network, batch, shape, classes, optimizer = WORKLOADS[name]
    model = network().to(memory_format=layout)
    x = torch.rand(batch, *shape).contiguous(memory_format=layout)
    if optimizer is None:
        model.eval()

        def step():
            with torch.inference_mode(), precision():
                model(x)

    else:
        if classes is None:
            loss_of, targets = nn.functional.binary_cross_entropy_with_logits, torch.rand(batch, *shape).round()
        else:
            loss_of, targets = nn.functional.cross_entropy, torch.randint(0, classes, (batch,))
        optimizer = optimizer(model.parameters(), lr=1e-2 if optimizer is torch.optim.SGD else 1e-3)

        def step():
            optimizer.zero_grad(set_to_none=True)
            with precision():
                loss = loss_of(model(x), targets)
            loss.backward()
            optimizer.step()

    return peer.median_of(step, options.seconds), batch


def bf16():
    return torch.autocast("cpu", torch.bfloat16)


def has_bf16():
    try:
        with open("/proc/cpuinfo") as file:
            flags = file.read()
            return "avx512_bf16" in flags or "amx_bf16" in flags
    except OSError:
        return False


WAYS = [
    ("PyTorch", torch.contiguous_format, contextlib.nullcontext),
    ("PyTorch", torch.channels_last, contextlib.nullcontext),
]
if has_bf16():
    WAYS.append(("PyTorch, bf16", torch.channels_last, bf16))
imported = peer.peak_mb()
for name in options.workloads or WORKLOADS:
    if name not in WORKLOADS:
        continue
    for way, layout, precision in WAYS:
        median, batch = steps(name, layout, precision)
        peer.report(way, torch.__version__, options.threads, name, batch, median, imported)
