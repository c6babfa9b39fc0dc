"""Teacher distillation: prompts in, answers and soft targets out, nothing lost, nothing paid for twice."""
