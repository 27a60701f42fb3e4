"""The search stage, on PaddlePaddle. Never imports torch."""
