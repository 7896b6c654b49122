"""The workloads over sequences of the benchmark `training` in PyTorch: one JSON line per workload and way, eager and compiled (where
there is a C++ compiler), which `--peers` reads. `samples` are tokens."""

import peer
import torch
from torch import nn
from torch.nn import functional as F

options = peer.arguments(__doc__).parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)
IDS, TIME = 65, 64


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(IDS, 128), nn.LSTM(128, 256, 2, batch_first=True)
        self.out = nn.Linear(256, IDS)

    def forward(self, x):
        return self.out(self.lstm(self.embedding(x))[0])


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, kept=None):
        n, time_, width = x.shape
        parts = self.qkv(self.norm1(x)).split(width, 2)
        q, k, v = (part.view(n, time_, self.heads, width // self.heads).transpose(1, 2) for part in parts)
        if kept is not None:
            if kept:
                k, v = torch.cat((kept[0], k), 2), torch.cat((kept[1], v), 2)
            kept[:] = [k, v]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=kept is None)
        x = x + self.out(y.transpose(1, 2).reshape(n, time_, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, width=128, layers=4, heads=4):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(IDS, width), nn.Embedding(TIME, width)
        self.h = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f, self.out = nn.LayerNorm(width), nn.Linear(width, IDS, bias=False)
        self.out.weight = self.wte.weight

    def forward(self, x, at=0, kept=None):
        y = self.wte(x) + self.wpe(torch.arange(at, at + x.shape[1]))
        for i, block in enumerate(self.h):
            y = block(y, None if kept is None else kept[i])
        return self.out(self.ln_f(y))


def training(network, batch):
    def steps(way):
        model = network()
        x, labels = (torch.randint(0, IDS, (batch, TIME)) for _ in range(2))
        optimizer, forward = torch.optim.Adam(model.parameters(), lr=1e-3), way(model)

        def step():
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(forward(x).flatten(0, 1), labels.flatten()).backward()
            optimizer.step()

        return step, batch * TIME

    return steps


def generation(way):
    model = way(Gpt().eval())

    def step():
        with torch.inference_mode():
            kept, x = [[] for _ in range(4)], torch.ones(1, 1, dtype=torch.long)
            for at in range(TIME - 1):
                x = model(x, at, kept)[:, -1:].argmax(-1)

    return step, TIME - 1


WORKLOADS = {"lstm_b64": training(Lstm, 64), "gpt_b12": training(Gpt, 12), "gpt_generate_b1": generation}


imported = peer.peak_mb()
for name in options.workloads or WORKLOADS:
    if name not in WORKLOADS:
        continue
    for way in [lambda model: model, torch.compile]:
        # The compiled generation is another program for each length of what is kept.
        if name == "gpt_generate_b1" and way is torch.compile:
            continue
        try:
            step, tokens = WORKLOADS[name](way)
            median = peer.median_of(step, options.seconds)
        except Exception as error:
            if way is not torch.compile:
                raise
            print(f"{name}: torch.compile does not work here: {type(error).__name__}")
            continue
        peer.report("PyTorch", torch.__version__, options.threads, name, tokens, median, imported)
