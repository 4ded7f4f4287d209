"""A delivery in a process of its own, for the tests that kill it: without the command line's start and its checks.

`python -m gainsight_pipelines_tests.delivery.deliver_process URL DESTINATION` delivers the activities of the store.
"""

from __future__ import annotations

import sys

from gainsight_pipelines.delivery.run import Delivery
from gainsight_pipelines.delivery.tables import Deliverable
from gainsight_pipelines.settings import Secrets
from gainsight_pipelines.settings.models import DeliverySettings
from gainsight_pipelines.store.connection import Store

if __name__ == "__main__":
    target = DeliverySettings(destination=sys.argv[2], dataset="cs")
    Delivery(Store(sys.argv[1]), target, Secrets.read(), "killed").deliver(Deliverable("activity", ("activity_id",)))
