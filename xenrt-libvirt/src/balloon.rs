//! What is known of the memory of a guest, of which its balloon tells a part.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use virt::connect::Connect;
use virt_sys as sys;
use xenrt_core::model::{Guest, Memory};
use xenrt_core::{Error, Result};

use crate::host::LibvirtHost;
use crate::observe;

/// The memory of a guest as its host and its balloon driver tell it (virDomainMemoryStats). What is
/// `None` is not told by the hypervisor, or not by the guest: it has no balloon driver, or was not
/// asked for [regular statistics](LibvirtHost::set_memory_stats_period).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryStats {
    /// What the balloon leaves it.
    pub balloon: Option<Memory>,
    /// What it takes of the memory of its host now.
    pub resident: Option<Memory>,
    /// What its kernel has, which is less than what it is given.
    pub available: Option<Memory>,
    /// What its kernel has not used for anything.
    pub unused: Option<Memory>,
    /// What could be taken from it without making it swap.
    pub usable: Option<Memory>,
    /// What holds copies of its disks, and would be given up.
    pub disk_caches: Option<Memory>,
    /// What it has read from its swap space since it booted.
    pub swapped_in: Option<Memory>,
    /// What it has written to its swap space since it booted.
    pub swapped_out: Option<Memory>,
    /// When its balloon driver last told; nothing else changes what the guest itself tells.
    pub told: Option<SystemTime>,
}

impl MemoryStats {
    fn add(&mut self, tag: u32, value: u64) {
        let place = match tag {
            sys::VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON => &mut self.balloon,
            sys::VIR_DOMAIN_MEMORY_STAT_RSS => &mut self.resident,
            sys::VIR_DOMAIN_MEMORY_STAT_AVAILABLE => &mut self.available,
            sys::VIR_DOMAIN_MEMORY_STAT_UNUSED => &mut self.unused,
            sys::VIR_DOMAIN_MEMORY_STAT_USABLE => &mut self.usable,
            sys::VIR_DOMAIN_MEMORY_STAT_DISK_CACHES => &mut self.disk_caches,
            sys::VIR_DOMAIN_MEMORY_STAT_SWAP_IN => &mut self.swapped_in,
            sys::VIR_DOMAIN_MEMORY_STAT_SWAP_OUT => &mut self.swapped_out,
            sys::VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE => {
                // Zero until the driver has told anything.
                self.told = (value > 0).then(|| UNIX_EPOCH + Duration::from_secs(value));
                return;
            }
            _ => return,
        };
        *place = Some(Memory::kib(value));
    }
}

impl LibvirtHost {
    /// What is known of the memory of a guest of this host now. Before: Running or Paused.
    ///
    /// # Errors
    /// [`Error::Toolstack`] of kind `BadState` where it has no domain, of kind `NotSupported` where
    /// the driver tells nothing; [`Error::Remote`].
    pub async fn memory_stats(&self, guest: &dyn Guest) -> Result<MemoryStats> {
        let (uuid, object) = (guest.uuid(), format!("guest {:?}", guest.name()));
        let ask = move |connect: &Connect| {
            let mut stats = MemoryStats::default();
            for stat in observe::find(connect, uuid)?.memory_stats(0)? {
                stats.add(stat.tag, stat.val);
            }
            Ok(stats)
        };
        self.shared.call("look at the memory of", &object, ask).await
    }

    /// Has the balloon driver of a running guest tell statistics this often, in whole seconds, until
    /// it is started anew; zero ends it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a period that is no number of seconds; [`Error::Toolstack`] of kind
    /// `BadState` where it has no domain, and where it has no balloon; [`Error::Remote`].
    pub async fn set_memory_stats_period(&self, guest: &dyn Guest, period: Duration) -> Result<()> {
        let (uuid, object) = (guest.uuid(), format!("guest {:?}", guest.name()));
        let seconds = i32::try_from(period.as_secs()).ok().filter(|_| period.subsec_nanos() == 0);
        let Some(seconds) = seconds else {
            let problem = format!("{period:?} between statistics; use whole seconds");
            return Err(Error::invalid(object, problem));
        };
        let ask = move |connect: &Connect| {
            let domain = observe::find(connect, uuid)?;
            let live = sys::VIR_DOMAIN_AFFECT_LIVE;
            Ok(domain.set_memory_stats_period(seconds, live).map(drop)?)
        };
        self.shared.call("set the balloon of", &object, ask).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_told_nothing_yet_is_told_from_one_that_did() {
        let mut stats = MemoryStats::default();
        stats.add(sys::VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, 0);
        stats.add(sys::VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, 2048);
        stats.add(9999, 1);
        assert_eq!(stats, MemoryStats { balloon: Some(Memory::mib(2)), ..MemoryStats::default() });
        stats.add(sys::VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, 60);
        assert_eq!(stats.told, Some(UNIX_EPOCH + Duration::from_secs(60)));
    }
}
