"""An evaluation made of stated numbers, for tests of what is computed from it and of how it is drawn."""

import numpy as np

import varbump as vb

LEVELS = (0.25, 0.5, 0.9)


def evaluation(coverage=(0.3, 0.5, 0.8), num=400):
    """Made of stated numbers; its PIT is a valley."""
    by_level = dict(zip(LEVELS, coverage, strict=True))
    return vb.Evaluation(
        num_data=num,
        num_draws=7,
        rmse=1.0,
        log_likelihood=-1.0,
        crps=0.5,
        interval_score=by_level,
        coverage=by_level,
        coverage_interval={level: (value - 0.1, value + 0.05) for level, value in by_level.items()},
        pit=np.linspace(0, 1, num)[:, None] ** 2,
        sharpness=by_level,
        epistemic_share=0.1,
    )
