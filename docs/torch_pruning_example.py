"""Prune with Torch-Pruning, by the importance that ``seviz channels`` writes: pip install torch-pruning."""

import csv

import torch
import torch_pruning as tp

import seviz


class GateImportance(tp.importance.Importance):
    """What gates let through, and how much of it is read; averaged over blocks that a shortcut ties."""

    def __init__(self, model, path):
        """Read the table; ``made_by`` names the layers whose outputs are the channels."""
        modules = dict(model.named_modules())
        self.known = {}
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                for weight in row["made_by"].split():
                    layer = self.known.setdefault(modules[weight.removesuffix(".weight")], {})
                    layer[int(row["channel"])] = float(row["importance"])

    def __call__(self, group, **kwargs):
        """Return the importance of each channel of a group, or None where no gate is in it."""
        found = []
        for dependency, channels in group:
            own = self.known.get(dependency.target.module)
            if own and dependency.handler.__name__ == "prune_out_channels":
                values = torch.tensor([own[c] for c in channels])
                found.append(values / values.mean())
        return torch.stack(found).mean(0) if found else None


loaded = seviz.load("sample_checkpoints/se_resnet20_cifar10.pt")
record = seviz.Record.load("reports/se_resnet20_cifar10")
(table,) = seviz.write_channels(seviz.channels(record, loaded), "out").tables

model, example = loaded.model, torch.zeros(1, 3, 32, 32)
pruner = tp.pruner.MagnitudePruner(
    model,
    example,
    importance=GateImportance(model, table),
    pruning_ratio=0.25,
    ignored_layers=[model.fc],
)
pruner.step()
print(tp.utils.count_ops_and_params(model, example))
