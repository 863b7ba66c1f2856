"From a folder of diagnosis reports to a private, evaluated medical language model: one package a stage, in the order that data flows."

__version__ = "0.3.0"
import lazy_loader as _lazy

PACKAGES = (
    "core",
    "sample",
    "ingest",
    "deidentify",
    "structure",
    "instruct",
    "model",
    "train",
    "grpo",
    "evaluate",
    "privacy",
    "release",
    "serve",
    "operate",
)
__getattr__, __dir__, __all__ = _lazy.attach(__name__, PACKAGES)
