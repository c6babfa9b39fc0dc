"""A Trainer of transformers over our loader: to its end, and stopped and resumed from its checkpoint."""

from __future__ import annotations

import sys
from typing import Any

from launch import tell


def main(config: str, out: str) -> None:
    import torch
    from nexa_data.loaders.torch_loader import build_loader
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Model(torch.nn.Module):
        """A tiny model that notes what it has seen."""

        def __init__(self) -> None:
            super().__init__()
            self.line = torch.nn.Linear(2, 3)
            self.seen: list[list[int]] = []

        def forward(self, features: Any, label: Any) -> dict[str, Any]:
            self.seen.append([int(value) for value in features[:, 0]])
            return {"loss": torch.nn.functional.cross_entropy(self.line(features / 100), label)}

    class Ours(Trainer):
        """A Trainer that draws its batches from our loader."""

        def get_train_dataloader(self) -> Any:
            self.loader = build_loader(config, "train")
            return self.accelerator.prepare(self.loader)

    class StopAt(TrainerCallback):  # type: ignore[misc]
        """Saves and stops after some steps."""

        def __init__(self, step: int) -> None:
            self.step = step

        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> Any:
            del arguments
            if state.global_step == self.step:
                control.should_save = control.should_training_stop = True
            return control

    def train(folder: str, stop: int | None = None, *, resume: bool = False) -> tuple[list[list[int]], Any]:
        arguments = TrainingArguments(
            output_dir=f"{out}/{folder}",
            num_train_epochs=3,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            ddp_backend="gloo",
            disable_tqdm=True,
        )
        model = Model()
        callbacks = [StopAt(stop)] if stop else []
        trainer = Ours(model=model, args=arguments, train_dataset=None, callbacks=callbacks)
        trainer.train(resume_from_checkpoint=resume)
        return model.seen, trainer.loader.stats().as_dict()

    straight, stats = train("straight")
    steps = len(straight) // 3
    # In the middle of the second epoch.
    before, _ = train("stopped", steps + 2)
    after, resumed_stats = train("stopped", resume=True)
    rank = torch.distributed.get_rank()
    found = {"straight": straight, "stats": stats, "before": before, "after": after}
    tell(out, rank, found | {"resumed_stats": resumed_stats, "steps": steps})
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
