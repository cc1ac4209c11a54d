"""The models of `training_steps.py`, written once for both libraries: a function takes the library and gives a module.

They are the usual ones, as public scripts write them: nothing here knows which library it runs on.
"""

from types import ModuleType
from typing import Any


def resnet18(library: ModuleType) -> Any:
    """ResNet-18 for 3×32×32 images: a 3×3 stem, then four stages of two blocks."""
    nn = library.nn

    class Block(nn.Module):
        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.downsample = None
            if stride != 1 or inside != outside:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
                )

        def forward(self, x: Any) -> Any:
            identity = x if self.downsample is None else self.downsample(x)
            out = self.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += identity
            return self.relu(out)

    sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
    sizes += [(128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        *[Block(*each) for each in sizes],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


def gpt(library: ModuleType, words: int = 256, width: int = 256, layers: int = 4, length: int = 128) -> Any:
    """A GPT: pre-norm blocks of causal attention (8 heads) and an MLP of four times the width."""
    nn, functional = library.nn, library.nn.functional

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            batch, steps, _ = x.shape
            heads = [
                each.view(batch, steps, 8, width // 8).transpose(1, 2) for each in self.qkv(x).split(width, 2)
            ]
            seen = functional.scaled_dot_product_attention(*heads, is_causal=True)
            return self.out(seen.transpose(1, 2).reshape(batch, steps, width))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.attention, self.norm2 = nn.LayerNorm(width), Attention(), nn.LayerNorm(width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.words(tokens) + self.places(library.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(x))).flatten(0, 1)

    return GPT()


def lstm(library: ModuleType, words: int = 1000, width: int = 256) -> Any:
    """Embedding, one LSTM layer, and the next word at every step."""
    nn = library.nn

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(words, width)
            self.lstm = nn.LSTM(width, width, batch_first=True)
            self.head = nn.Linear(width, words)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.lstm(self.words(tokens))[0]).flatten(0, 1)

    return Words()


def unet(library: ModuleType, width: int = 16) -> Any:
    """A U-Net of two levels: convolutions with batch norm down, transposed convolutions up, and the skips between."""
    nn = library.nn

    def double(inside: int, outside: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2 = double(3, width), double(width, 2 * width)
            self.bottom = double(2 * width, 4 * width)
            self.pool = nn.MaxPool2d(2)
            self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
            self.join2 = double(4 * width, 2 * width)
            self.up1 = nn.ConvTranspose2d(2 * width, width, 2, 2)
            self.join1 = double(2 * width, width)
            self.head = nn.Conv2d(width, 2, 1)

        def forward(self, x: Any) -> Any:
            first = self.down1(x)
            second = self.down2(self.pool(first))
            bottom = self.bottom(self.pool(second))
            x = self.join2(library.cat([self.up2(bottom), second], dim=1))
            x = self.join1(library.cat([self.up1(x), first], dim=1))
            return self.head(x)

    return UNet()
