"""The command line, `gainsight-pipelines`: starts pulls and shows their results; does nothing else itself."""
