//! Tests of disks: what was written is what is read, whatever happened in between.

mod concurrent;
mod errors;
mod full;
mod hotplug;
mod keeps;
mod path_loss;
mod served;
mod sizes;

use xenrt::prelude::*;

/// How large a disk of these tests is.
const SIZE: Memory = Memory::mib(16);

/// Says what a disk could not be written and should have been, or the other way round.
async fn can_write(guest: &dyn Guest, device: &str) -> Result<bool> {
    let dd = Command::new("dd").arg(format!("of=/dev/{device}")).args(["bs=4096", "conv=fsync"]);
    let dd = dd.stdin(vec![0x5a; 4096]).deadline(Duration::from_secs(60));
    Ok(guest.shell().await?.succeeds(&dd).await?)
}
