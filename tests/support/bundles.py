"""What tests of bundles share."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.check import check_bundle
from ingest.errors import BundleError


def refused(path: Path, *wanted: str, read_files: bool = True) -> BundleError:
    """Check that the bundle is refused and that one finding has all the wanted parts."""
    with pytest.raises(BundleError) as caught:
        check_bundle(path, read_files=read_files)
    findings = [str(finding) for finding in caught.value.findings]
    assert any(all(part in finding for part in wanted) for finding in findings), findings
    return caught.value
