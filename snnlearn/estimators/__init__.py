"""Estimators of scikit-learn: `SpikingClassifier` and `SpikingRegressor`. They need scikit-learn."""

from .classifier import SpikingClassifier
from .regressor import SpikingRegressor

__all__ = ["SpikingClassifier", "SpikingRegressor"]
