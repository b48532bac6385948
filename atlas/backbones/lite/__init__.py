"""The offline backbone `lite`: EfficientNet-Lite0 and MiniLM, joined by a linear map."""
