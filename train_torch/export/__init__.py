"""Networks and suites as ONNX files or torch.export programs."""
