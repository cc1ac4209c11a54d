"""Models as public scripts write them, trained for some steps by both libraries from the same weights, in float64.

Each function gets a library and builds model, optimizer (with its schedule) and a step; the losses of all steps and the
final weights must agree. Dropout is off, since the random streams differ.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import values

Step = Callable[[int], Any]
Built = tuple[Any, Step]
STEPS = 8


def _data(t: Any, *shape: int, seed: int = 0) -> Any:
    return t.from_numpy(np.random.default_rng([seed, *shape]).standard_normal(shape))


def _labels(t: Any, classes: int, *shape: int, seed: int = 0) -> Any:
    return t.from_numpy(np.random.default_rng([seed, *shape]).integers(0, classes, shape))


def resnet(torch: Any) -> Built:
    """torchvision's layout: basic blocks, downsampling by 1x1 convolutions, kaiming init, SGD with StepLR."""
    nn = torch.nn

    def conv3x3(inplanes: int, planes: int, stride: int = 1) -> Any:
        return nn.Conv2d(inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False)

    class BasicBlock(nn.Module):  # type: ignore[misc, name-defined]
        expansion = 1

        def __init__(self, inplanes, planes, stride=1, downsample=None):
            super().__init__()
            self.conv1 = conv3x3(inplanes, planes, stride)
            self.bn1 = nn.BatchNorm2d(planes)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = conv3x3(planes, planes)
            self.bn2 = nn.BatchNorm2d(planes)
            self.downsample = downsample
            self.stride = stride

        def forward(self, x):
            identity = x
            out = self.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            if self.downsample is not None:
                identity = self.downsample(x)
            out += identity
            return self.relu(out)

    class ResNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, block, layers, num_classes=10):
            super(ResNet, self).__init__()  # noqa: UP008 - as scripts write it
            self.inplanes = 8
            self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(self.inplanes)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
            self.layer1 = self._make_layer(block, 8, layers[0])
            self.layer2 = self._make_layer(block, 16, layers[1], stride=2)
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(16 * block.expansion, num_classes)
            for m in self.modules():
                if isinstance(m, nn.Conv2d):
                    nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
                elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
                    nn.init.constant_(m.weight, 1)
                    nn.init.constant_(m.bias, 0)
            for m in self.modules():
                if isinstance(m, BasicBlock) and m.bn2.weight is not None:
                    nn.init.constant_(m.bn2.weight, 0.5)

        def _make_layer(self, block, planes, blocks, stride=1):
            downsample = None
            if stride != 1 or self.inplanes != planes * block.expansion:
                downsample = nn.Sequential(
                    nn.Conv2d(self.inplanes, planes, kernel_size=1, stride=stride, bias=False),
                    nn.BatchNorm2d(planes * block.expansion),
                )
            layers = [block(self.inplanes, planes, stride, downsample)]
            self.inplanes = planes * block.expansion
            for _ in range(1, blocks):
                layers.append(block(self.inplanes, planes))
            return nn.Sequential(*layers)

        def forward(self, x):
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer2(self.layer1(x))
            x = torch.flatten(self.avgpool(x), 1)
            return self.fc(x)

    model = ResNet(BasicBlock, [2, 2]).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.1)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

    def step(number: int) -> Any:
        model.train()
        output = model(_data(torch, 4, 3, 32, 32, seed=number))
        loss = criterion(output, _labels(torch, 10, 4, seed=number))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        scheduler.step()
        return loss

    return model, step


def dcgan(torch: Any) -> Built:
    """Generator and discriminator in turn, as the DCGAN tutorial has it; weights_init by class name."""
    nn, nz, nf, nc = torch.nn, 6, 4, 1
    netG = nn.Sequential(
        nn.ConvTranspose2d(nz, nf * 2, 4, 1, 0, bias=False),
        nn.BatchNorm2d(nf * 2),
        nn.ReLU(True),
        nn.ConvTranspose2d(nf * 2, nf, 4, 2, 1, bias=False),
        nn.BatchNorm2d(nf),
        nn.ReLU(True),
        nn.ConvTranspose2d(nf, nc, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    netD = nn.Sequential(
        nn.Conv2d(nc, nf, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(nf, nf * 2, 4, 2, 1, bias=False),
        nn.BatchNorm2d(nf * 2),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(nf * 2, 1, 4, 1, 0, bias=False),
        nn.Sigmoid(),
    )

    def weights_init(m):
        classname = m.__class__.__name__
        if classname.find("Conv") != -1:
            nn.init.normal_(m.weight.data, 0.0, 0.02)
        elif classname.find("BatchNorm") != -1:
            nn.init.normal_(m.weight.data, 1.0, 0.02)
            nn.init.constant_(m.bias.data, 0)

    both = nn.ModuleDict({"G": netG, "D": netD}).double()
    both.apply(weights_init)
    criterion = nn.BCELoss()
    optimizerD = torch.optim.Adam(netD.parameters(), lr=0.0002, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=0.0002, betas=(0.5, 0.999))

    def step(number: int) -> Any:
        netD.zero_grad()
        real = _data(torch, 4, nc, 16, 16, seed=number).tanh()
        label = torch.full((4,), 1.0, dtype=torch.float64)
        errD_real = criterion(netD(real).view(-1), label)
        errD_real.backward()
        fake = netG(_data(torch, 4, nz, 1, 1, seed=number))
        label.fill_(0.0)
        errD_fake = criterion(netD(fake.detach()).view(-1), label)
        errD_fake.backward()
        optimizerD.step()
        netG.zero_grad()
        label.fill_(1.0)
        errG = criterion(netD(fake).view(-1), label)
        errG.backward()
        optimizerG.step()
        return errD_real + errD_fake + errG

    return both, step


def vae(torch: Any) -> Built:
    """The VAE example: reparametrisation (its noise given), BCE by sum and the KL term."""
    nn, F = torch.nn, torch.nn.functional

    class VAE(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self):
            super().__init__()
            self.fc1 = nn.Linear(36, 20)
            self.fc21 = nn.Linear(20, 4)
            self.fc22 = nn.Linear(20, 4)
            self.fc3 = nn.Linear(4, 20)
            self.fc4 = nn.Linear(20, 36)

        def forward(self, x, noise):
            h = F.relu(self.fc1(x.view(-1, 36)))
            mu, logvar = self.fc21(h), self.fc22(h)
            std = torch.exp(0.5 * logvar)
            z = mu + noise * std
            return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar

    model = VAE().to(torch.float64)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(number: int) -> Any:
        data = torch.sigmoid(_data(torch, 8, 1, 6, 6, seed=number))
        optimizer.zero_grad()
        recon, mu, logvar = model(data, _data(torch, 8, 4, seed=number))
        bce = F.binary_cross_entropy(recon, data.view(-1, 36), reduction="sum")
        loss = bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss.backward()
        optimizer.step()
        return loss

    return model, step


def language_model(torch: Any) -> Built:
    """The word-language-model example: LSTM, tied weights, repackaged hidden state, clipping, learning rate by hand."""
    nn, vocabulary = torch.nn, 17

    class RNNModel(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.0)
            self.encoder = nn.Embedding(vocabulary, 6)
            self.rnn = nn.LSTM(6, 6, 2, dropout=0.0)
            self.decoder = nn.Linear(6, vocabulary)
            self.decoder.weight = self.encoder.weight
            nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
            nn.init.zeros_(self.decoder.bias)

        def forward(self, input, hidden):
            output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
            decoded = self.decoder(self.drop(output)).view(-1, vocabulary)
            return torch.nn.functional.log_softmax(decoded, dim=1), hidden

        def init_hidden(self, bsz):
            weight = next(self.parameters())
            return (weight.new_zeros(2, bsz, 6), weight.new_zeros(2, bsz, 6))

    def repackage_hidden(h):
        if isinstance(h, torch.Tensor):
            return h.detach()
        return tuple(repackage_hidden(v) for v in h)

    model = RNNModel().double()
    criterion = nn.NLLLoss()
    state = {"hidden": model.init_hidden(3)}

    def step(number: int) -> Any:
        tokens = _labels(torch, vocabulary, 8, 3, seed=number)
        model.zero_grad()
        state["hidden"] = repackage_hidden(state["hidden"])
        output, state["hidden"] = model(tokens[:-1], state["hidden"])
        loss = criterion(output, tokens[1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-20)
        return loss

    return model, step


def unet(torch: Any) -> Built:
    """A small U-Net: transposed convolutions, skips by cat, padding by F.pad, Dice and BCE with logits."""
    nn, F = torch.nn, torch.nn.functional

    class DoubleConv(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, in_channels, out_channels):
            super().__init__()
            self.double_conv = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
                nn.GroupNorm(2, out_channels),
                nn.ReLU(inplace=True),
                nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, padding_mode="reflect"),
                nn.InstanceNorm2d(out_channels, affine=True),
                nn.GELU(),
            )

        def forward(self, x):
            return self.double_conv(x)

    class UNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self):
            super().__init__()
            self.inc = DoubleConv(1, 4)
            self.down = nn.Sequential(nn.MaxPool2d(2), DoubleConv(4, 8))
            self.up = nn.ConvTranspose2d(8, 4, kernel_size=2, stride=2)
            self.upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(16, 4)
            self.outc = nn.Conv2d(4, 1, kernel_size=1)

        def forward(self, x):
            x1 = self.inc(x)
            x2 = self.down(x1)
            up = self.up(x2)
            diffY, diffX = x1.size()[2] - up.size()[2], x1.size()[3] - up.size()[3]
            pads = [diffX // 2, diffX - diffX // 2, diffY // 2, diffY - diffY // 2]
            smooth = F.pad(self.upsample(x2), pads)
            return self.outc(self.conv(torch.cat([x1, F.pad(up, pads), smooth], dim=1)))

    model = UNet().double()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=1)

    def dice_loss(pred, target, smooth=1e-6):
        pred = torch.sigmoid(pred)
        intersection = (pred * target).sum(dim=(1, 2, 3))
        union = pred.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
        return 1 - ((2 * intersection + smooth) / (union + smooth)).mean()

    def step(number: int) -> Any:
        images = _data(torch, 2, 1, 13, 10, seed=number)
        masks = (_data(torch, 2, 1, 13, 10, seed=number + 99) > 0).double()
        pred = model(images)
        loss = nn.BCEWithLogitsLoss()(pred, masks) + dice_loss(pred, masks)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
        scheduler.step(-loss)
        return loss

    return model, step


def mobile(torch: Any) -> Built:
    """Inverted residuals: depthwise convolutions, squeeze-and-excitation, Hardswish; EMA of the weights; OneCycleLR."""
    nn = torch.nn

    class SqueezeExcitation(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, channels):
            super().__init__()
            self.avgpool = nn.AdaptiveAvgPool2d(1)
            self.fc1 = nn.Conv2d(channels, 2, 1)
            self.fc2 = nn.Conv2d(2, channels, 1)
            self.scale = nn.Hardsigmoid(inplace=True)

        def forward(self, x):
            return x * self.scale(self.fc2(nn.functional.relu(self.fc1(self.avgpool(x)), inplace=True)))

    class InvertedResidual(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, channels):
            super().__init__()
            hidden = channels * 2
            self.block = nn.Sequential(
                nn.Conv2d(channels, hidden, 1, bias=False),
                nn.BatchNorm2d(hidden, eps=0.001, momentum=0.01),
                nn.Hardswish(inplace=True),
                nn.Conv2d(hidden, hidden, 5, padding=2, groups=hidden, bias=False),
                nn.BatchNorm2d(hidden, eps=0.001, momentum=0.01),
                nn.SiLU(inplace=True),
                SqueezeExcitation(hidden),
                nn.Conv2d(hidden, channels, 1, bias=False),
                nn.BatchNorm2d(channels, eps=0.001, momentum=0.01),
            )

        def forward(self, x):
            return x + self.block(x)

    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.ReLU6(inplace=True),
        *[InvertedResidual(4) for _ in range(2)],
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 9, 5),
    ).double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=STEPS + 1)
    ema = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    holder = nn.ModuleList([model, ema])

    def step(number: int) -> Any:
        logits = model(_data(torch, 6, 3, 12, 12, seed=number))
        target = nn.functional.one_hot(_labels(torch, 5, 6, seed=number), 5).double()
        loss = nn.functional.cross_entropy(logits, target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        ema.update_parameters(model)
        return loss

    return holder, step


def translation(torch: Any) -> Built:
    """Packed sequences into a bidirectional GRU, attention by hand, masks, ignore_index and teacher forcing."""
    nn, F = torch.nn, torch.nn.functional
    rnn = torch.nn.utils.rnn

    class Seq2Seq(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(11, 6, padding_idx=0)
            self.encoder = nn.GRU(6, 5, batch_first=True, bidirectional=True)
            self.bridge = nn.Linear(10, 5)
            self.cell = nn.GRUCell(6 + 10, 5)
            self.attn = nn.Bilinear(5, 10, 1)
            self.out = nn.Linear(5, 11)

        def forward(self, source, lengths, target):
            packed = rnn.pack_padded_sequence(
                self.embed(source), lengths, batch_first=True, enforce_sorted=False
            )
            states, h = self.encoder(packed)
            states, _ = rnn.pad_packed_sequence(states, batch_first=True)
            hidden = torch.tanh(self.bridge(torch.cat([h[0], h[1]], dim=-1)))
            mask = torch.arange(states.size(1))[None, :] >= lengths[:, None]
            logits = []
            for t in range(target.size(1) - 1):
                query = hidden.unsqueeze(1).expand(-1, states.size(1), -1).contiguous()
                scores = self.attn(query, states).squeeze(-1).masked_fill(mask, float("-inf"))
                context = torch.bmm(F.softmax(scores, dim=-1).unsqueeze(1), states).squeeze(1)
                hidden = self.cell(torch.cat([self.embed(target[:, t]), context], 1), hidden)
                logits.append(self.out(hidden))
            return torch.stack(logits, dim=1)

    model = Seq2Seq().double()
    optimizer = torch.optim.NAdam(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=3),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10),
        ],
        milestones=[3],
    )
    criterion = nn.CrossEntropyLoss(ignore_index=0, reduction="sum")

    def step(number: int) -> Any:
        lengths = torch.tensor([4, 6, 3])
        source = _labels(torch, 10, 3, 6, seed=number) + 1
        source[torch.arange(6)[None] >= lengths[:, None]] = 0
        target = _labels(torch, 11, 3, 5, seed=number)
        logits = model(source, lengths, target)
        loss = criterion(logits.reshape(-1, 11), target[:, 1:].reshape(-1)) / (target[:, 1:] != 0).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    return model, step


def siamese(torch: Any) -> Built:
    """1-d convolutions, weight norm, triplet and cosine losses, Adagrad with groups, LBFGS at the end."""
    nn, F = torch.nn, torch.nn.functional
    parametrizations = torch.nn.utils.parametrizations
    net = nn.Sequential(
        parametrizations.weight_norm(nn.Conv1d(2, 4, 3, padding="same")),
        nn.PReLU(4),
        nn.LocalResponseNorm(2),
        nn.AdaptiveMaxPool1d(3),
        nn.Flatten(),
        nn.LayerNorm(12),
        nn.Linear(12, 4),
    ).double()
    decayed = [p for n, p in net.named_parameters() if p.ndim > 1]
    others = [p for n, p in net.named_parameters() if p.ndim <= 1]
    optimizer = torch.optim.Adagrad(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "lr": 0.05}], lr=0.02
    )
    newton = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=3, line_search_fn="strong_wolfe")

    def losses(number: int) -> Any:
        a, p, n = (F.normalize(net(_data(torch, 5, 2, 9, seed=number + each))) for each in (0, 50, 100))
        triplet = nn.TripletMarginLoss(margin=1.0, p=2)(a, p, n)
        sign = torch.where(_data(torch, 5, seed=number) > 0, 1, -1)
        return triplet + nn.CosineEmbeddingLoss(margin=0.1)(a, n, sign) + F.smooth_l1_loss(a, p)

    def step(number: int) -> Any:
        if number < STEPS - 2:
            optimizer.zero_grad()
            loss = losses(number)
            loss.backward()
            optimizer.step()
            return loss

        def closure():
            newton.zero_grad()
            loss = losses(number)
            loss.backward()
            return loss

        return newton.step(closure)

    return net, step


MODELS = [resnet, dcgan, vae, language_model, unet, mobile, translation, siamese]


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_a_public_model_trains_as_under_pytorch(build: Callable[[Any], Built], torch: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference, step_reference = build(torch)
        ours, step = build(distrt)
        assert repr(ours) == repr(reference)
        weights = {name: value.numpy().copy() for name, value in reference.state_dict().items()}
        loaded = ours.load_state_dict({name: distrt.tensor(array) for name, array in weights.items()})
        assert not loaded.missing_keys and not loaded.unexpected_keys
        for number in range(STEPS):
            found, expected = step(number), step_reference(number)
            np.testing.assert_allclose(
                float(found), float(expected), rtol=1e-8, err_msg=f"loss of step {number}"
            )
        for name, expected in reference.state_dict().items():
            np.testing.assert_allclose(
                values(ours.state_dict()[name]), values(expected), 1e-6, 1e-9, err_msg=name
            )
        copied = copy.deepcopy(ours)
        assert [name for name, _ in copied.named_parameters()] == [
            name for name, _ in reference.named_parameters()
        ]
