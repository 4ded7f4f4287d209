"""The command line, `gainsight-pipelines`: parses arguments, calls the other packages and prints the results."""
