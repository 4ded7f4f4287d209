"""Assets, jobs and resources of this team, and two components that bring Gainsight's data."""
