"""Runs deliveries for the command and Dagster: one at a time, with the tenant's credentials, recorded for `status`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gainsight_pipelines.delivery.environment import dlt_environment
from gainsight_pipelines.errors import PipelineError, TransientError, variables_named
from gainsight_pipelines.extras import require
from gainsight_pipelines.store import deliveries
from gainsight_pipelines.store.leases import delivery_lease

if TYPE_CHECKING:
    from gainsight_pipelines.delivery.tables import Deliverable
    from gainsight_pipelines.delivery.warehouse import Delivered, Plan
    from gainsight_pipelines.settings import Secrets
    from gainsight_pipelines.settings.models import DeliverySettings
    from gainsight_pipelines.store.connection import Store

logger = logging.getLogger("gainsight_pipelines")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The deliveries of one run.

    Attributes:
        store: the store to read.
        target: the warehouse.
        secrets: of the tenant, with the warehouse's credentials.
        run_id: of the Dagster run or the command.
    """

    store: Store
    target: DeliverySettings
    secrets: Secrets
    run_id: str

    def deliver(
        self, table: Deliverable, *, is_full: bool = False, say: Callable[[str], None] = logger.info
    ) -> Delivered:
        """Updates one table in the warehouse. Waits for a running delivery first.

        Args:
            table: the table or view.
            is_full: replace the table with all rows.
            say: called with what it waits for.

        Raises:
            PermanentError: dlt isn't installed, the credentials are missing or wrong, or dlt or the warehouse refuses
                the data.
            SettingsError: the destination is unknown, or the dataset belongs to another store.
            TransientError: the warehouse doesn't answer, another delivery takes too long, or another run took over.
        """
        place = deliveries.Place(self.target.destination, self.target.dataset, table.name)
        with self._dlt(), delivery_lease(self.store, self.run_id, say) as lease, self._noted(place):
            from gainsight_pipelines.delivery.warehouse import deliver

            done = deliver(self.store, table, self.target, is_full=is_full)
            if lease.lost.is_set():
                raise TransientError(
                    f"{table.name} was delivered by another run at the same time: this one gave no sign of life.",
                    f"Deliver it in full: gainsight-pipelines deliver {table.name} --full.",
                )
            with self.store.connect(f"delivered {table.name}") as connection:
                deliveries.completed(connection, place, done.rows, done.bytes)
        return done

    def plan(self, table: Deliverable, *, is_full: bool = False) -> Plan:
        """What `deliver` would do now. Writes nothing.

        Raises:
            PermanentError: dlt isn't installed, or the credentials are missing or wrong.
            SettingsError: the destination is unknown, or the dataset belongs to another store.
            TransientError: the warehouse doesn't answer.
        """
        with self._dlt():
            from gainsight_pipelines.delivery.warehouse import plan_of

            return plan_of(self.store, table, self.target, is_full=is_full)

    @contextmanager
    def _dlt(self) -> Iterator[None]:
        require("warehouse", "A delivery to a warehouse")
        with variables_named(self.secrets.prefix), dlt_environment(self.secrets):
            yield

    @contextmanager
    def _noted(self, place: deliveries.Place) -> Iterator[None]:
        with self.store.connect(f"delivery {place.relation}") as connection:
            deliveries.begun(connection, place, self.run_id)
        try:
            yield
        except BaseException as error:
            told = str(error) if isinstance(error, PipelineError) else f"It was stopped ({type(error).__name__})."
            with self.store.connect(f"delivery {place.relation}") as connection:
                deliveries.failed(connection, place, told)
            raise
