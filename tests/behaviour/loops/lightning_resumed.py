"""Lightning saves in the middle of an epoch, and another trainer goes on from there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from launch import numbers, tell

SAVED_AFTER = 5


def main(config: str, out: str) -> None:
    import pytorch_lightning as lightning
    import torch
    from nexa_data.loaders.torch_loader import build_loader

    class Module(lightning.LightningModule):
        """A tiny module that notes what it has seen, and may stop after a save."""

        def __init__(self, saved: Path | None) -> None:
            super().__init__()
            self.line = torch.nn.Linear(2, 3)
            self.saved = saved
            self.seen: list[list[int]] = []

        def training_step(self, batch: Any, number: int) -> Any:
            del number
            self.seen.append(numbers(batch))
            return torch.nn.functional.cross_entropy(self.line(batch[0] / 100), batch[1])

        def on_train_batch_end(self, *_: Any) -> None:
            if self.saved is not None and len(self.seen) == SAVED_AFTER:
                self.trainer.save_checkpoint(self.saved)
                self.trainer.should_stop = True

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

        def train_dataloader(self) -> Any:
            return build_loader(config, "train")

    def fit(saved: Path | None = None, resumed: Path | None = None) -> list[list[int]]:
        module = Module(saved)
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=2,
            min_steps=0,
            min_epochs=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=out,
        )
        trainer.fit(module, ckpt_path=resumed)
        return module.seen

    checkpoint = Path(out) / "middle.ckpt"
    found = {"straight": fit(), "before": fit(saved=checkpoint), "after": fit(resumed=checkpoint)}
    tell(out, 0, found)


if __name__ == "__main__":
    main(*sys.argv[1:])
