"""Bundle Python AWS Lambda functions without Docker."""

__version__ = "0.1.0"
