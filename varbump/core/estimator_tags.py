"""What scikit-learn is told about the estimators of this package."""

from __future__ import annotations

from typing import Any

__all__ = ["SeveralTargets", "TablesAsTheyAre"]


class SeveralTargets:
    """Mixin, before the bases of scikit-learn, of estimators that take y with one or several columns."""

    def __sklearn_tags__(self) -> Any:
        """Declare that several targets are supported."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    def _more_tags(self) -> dict[str, bool]:  # for scikit-learn 1.5
        return {"multioutput": True}


class TablesAsTheyAre(SeveralTargets):
    """Mixin of estimators that take X with missing cells and categories, too."""

    def __sklearn_tags__(self) -> Any:
        """Declare that cells of X may be nan, and columns categories."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # for scikit-learn 1.5
        return {**super()._more_tags(), "allow_nan": True}
