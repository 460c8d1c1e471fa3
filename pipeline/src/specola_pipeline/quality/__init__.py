"""Quality control: figures of every slit and exposure judged by limits, and a report that a person reads in a minute.

Read :mod:`.rows` first (from what a reduction gives to a row with a state and reasons), then :mod:`.thresholds` and
``thresholds.toml`` (the limits), ``columns.toml`` (what the figures mean), :mod:`.report` (JSON, Parquet, HTML), :mod:`.plots`.
"""
