"""`python -m gainsight_pipelines.cli`: the same as `gainsight-pipelines`."""

from gainsight_pipelines.cli.app import main

main()
