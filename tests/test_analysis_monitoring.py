"""Gates in a few numbers: as NumPy counts them, and nothing of a training is touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_collect_loaders import CLASSES, PLAIN, X, Y, own_gates, seeded
from test_collect_loaders import Net as Trained
from torch.utils.data import DataLoader, TensorDataset

import seviz
from seviz.errors import UsageError


def test_numbers_are_those_of_numpy() -> None:
    network = seeded(Trained)
    with torch.no_grad():
        network.se.up.bias[:3] = torch.tensor([-9.0, 9.0, -3.0])
        # Shut, and yet it tells images apart; open, and the same for each.
        network.se.up.weight[3] *= 20
        network.se.up.weight[4] = 0
    numbers = seviz.monitor(network, [(X, Y)], classes=CLASSES)
    gates = own_gates(network, X)
    assert numbers["SE_2_1/mean"] == pytest.approx(gates.mean())
    assert numbers["SE_2_1/spread"] == pytest.approx(gates.std(0).mean())
    still = gates.std(0) < 0.01
    assert numbers["SE_2_1/dead"] == still.mean()
    assert still[4]
    assert gates[:, 4].min() > 0.05
    # As the findings count them.
    record = seviz.collect(network, [(X, Y)], classes=CLASSES)
    found = seviz.findings(record).blocks[0].dead_channels
    assert found is not None
    assert found.value == still.sum()
    assert "SE_2_1/dead" not in seviz.monitor(network, [(X[:9], Y[:9])], classes=CLASSES)
    assert numbers["SE_2_1/saturated"] == ((gates < 0.05) | (gates > 0.95)).mean() > 0
    means = np.stack([gates[(k == Y).numpy()].mean(0) for k in range(3)])[Y.numpy()]
    moving = gates.std(0) >= 1e-6
    around = (gates - gates.mean(0))[:, moving]
    between = ((means - gates.mean(0))[:, moving] ** 2).sum(0) / (around**2).sum(0)
    assert numbers["SE_2_1/class_share"] == pytest.approx(between.mean(), rel=1e-6)
    assert all(type(v) is float for v in numbers.values())
    network.eval()
    assert numbers["top1"] == pytest.approx(float((network(X).argmax(1) == Y).double().mean()))


def test_every_so_many_calls() -> None:
    network = seeded(Trained)
    assert [bool(seviz.monitor(network, [X], every=3)) for _ in range(5)] == [1, 0, 0, 1, 0]
    assert [bool(seviz.monitor(network, [X], every=3, step=s)) for s in (1, 3)] == [0, 1]
    with pytest.raises(UsageError, match="at least 1, found 0"):
        seviz.monitor(network, [X], every=0)


def test_a_training_goes_on_as_without_it() -> None:
    def trained(watched: bool) -> torch.Tensor:
        network = seeded(Trained)
        loader = DataLoader(TensorDataset(X, Y), 7, shuffle=True)
        optimiser = torch.optim.SGD(network.parameters(), 0.1)
        for _ in range(2):
            for x, y in loader:
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(network(x), y).backward()
                optimiser.step()
            if watched:
                seviz.monitor(network, loader, options=PLAIN)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    assert torch.equal(trained(watched=True), trained(watched=False))
