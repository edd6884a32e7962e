"""What the gate is told: by which limits it judges, and whom. Loads nothing, for arguments are read before all else."""

from dataclasses import dataclass, field

TRIAL_SECONDS = 900


@dataclass(frozen=True)
class Limits:
    """What is asked, as shares from 0 to 1; a negative regression asks the challenger to be better."""

    min_accuracy: float = 0.75
    max_regression: float = 0.005
    max_slice_regression: float = 0.02
    # The suite's classifiers have 0.010 to 0.028 on 10,363 real test tweets (gradient-boosted trees 0.010, linear SVC
    # 0.016, random forest 0.027, logistic regression 0.028); chance alone adds some 0.02 on a small validation set.
    max_calibration_error: float = 0.05
    max_latency_ratio: float = 1.5


@dataclass(frozen=True)
class Settings:
    """What promote-model.py is told; empty texts mean that the default is to be found."""

    mlflow_uri: str
    model: str
    version: str = ""
    ledger: str = ""
    validation_data: str = ""
    limits: Limits = field(default_factory=Limits)
    approve: bool = False
    reason: str = ""
    dry_run: bool = False
    card: str = ""
    trial_seconds: int = TRIAL_SECONDS
