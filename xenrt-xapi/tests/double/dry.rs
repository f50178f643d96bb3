//! Hosts of the double whose guests can be logged into.

use std::sync::Arc;
use std::time::Duration;

use xenrt_core::model::{Host, Toolstack as _};
use xenrt_xapi::double::DryGuests;

use crate::world::Simulated;

/// The host that the lab calls so, with guests that can be logged into.
pub(crate) async fn connect(
    simulated: &Simulated,
    name: &str,
    guests: &DryGuests,
) -> Arc<dyn Host> {
    connect_within(simulated, name, guests, None).await
}

/// The same, with verbs that may take no longer than `deadline`.
pub(crate) async fn connect_within(
    simulated: &Simulated,
    name: &str,
    guests: &DryGuests,
    deadline: Option<Duration>,
) -> Arc<dyn Host> {
    let mut entry = simulated.lab("").hosts.remove(0);
    entry.name = name.to_owned();
    if let Some(deadline) = deadline {
        let deadlines = &mut entry.deadlines;
        deadlines.state = deadline;
        deadlines.boot = deadline;
        deadlines.device = deadline;
        deadlines.suspend = deadline;
        deadlines.migrate = deadline;
    }
    guests.toolstack(name).connect(&entry).await.unwrap()
}
