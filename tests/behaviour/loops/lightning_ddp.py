"""A Trainer of Lightning over our loader, made in the module's hook or before the trainer has started its processes."""

from __future__ import annotations

import sys
from typing import Any

from launch import numbers, tell


def main(config: str, out: str, place: str) -> None:
    import pytorch_lightning as lightning
    import torch
    from nexa_data.loaders.torch_loader import build_loader

    class Module(lightning.LightningModule):
        """A tiny module that notes what it has seen."""

        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(2, 3)
            self.epochs: list[list[list[int]]] = []

        def on_train_epoch_start(self) -> None:
            self.epochs.append([])

        def training_step(self, batch: Any, number: int) -> Any:
            del number
            self.epochs[-1].append(numbers(batch))
            return torch.nn.functional.cross_entropy(self.line(batch[0] / 100), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

        def train_dataloader(self) -> Any:
            self.loader = build_loader(config, "train")
            return self.loader

    module = Module()
    early = None if place == "hook" else build_loader(config, "train")
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=out,
    )
    trainer.fit(module, train_dataloaders=early)
    loader = early or module.loader
    found = {"epochs": module.epochs, "stats": loader.dataset.stats().as_dict()}
    tell(out, trainer.global_rank, found)


if __name__ == "__main__":
    main(*sys.argv[1:])
