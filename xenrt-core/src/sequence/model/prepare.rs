//! What is built before the first test.

use super::{
    AllHostsStep, BlueprintStep, CloudMachineStep, CloudStep, GuestStep, HostStep, PoolStep,
    PrivateVlan, SharedHostStep,
};

/// `<prepare>` or `<preprepare>`: what is built before the first test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepare {
    /// All hosts with a number of their own, those in pools too, in the order of the file.
    pub hosts: Vec<HostStep>,
    /// Hosts that are as many as the run has machines.
    pub all_hosts: Vec<AllHostsStep>,
    /// The pools.
    pub pools: Vec<PoolStep>,
    /// Guests on hosts that several runs share.
    pub shared_hosts: Vec<SharedHostStep>,
    /// VLANs of the run's own.
    pub vlans: Vec<PrivateVlan>,
    /// Clouds.
    pub clouds: Vec<CloudStep>,
    /// Templates and instances in a cloud.
    pub cloud_machines: Vec<CloudMachineStep>,
    /// Deployments of ScaleXtreme.
    pub blueprints: Vec<BlueprintStep>,
}

impl Prepare {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The hosts of each number when the run has so many machines: those of the file, and one for
    /// each machine that an `<allhosts>` means and that the file does not name itself. Pools know
    /// them too.
    #[must_use]
    pub fn with_machines(&self, machines: u32) -> Self {
        let mut whole = self.clone();
        for all in std::mem::take(&mut whole.all_hosts) {
            for id in (0..machines).filter(|id| all.covers(*id)) {
                if whole.hosts.iter().any(|host| host.id == id) {
                    continue;
                }
                let index = whole.hosts.len();
                whole.hosts.push(HostStep { id, ..all.host.clone() });
                if let Some(pool) = all.pool.and_then(|pool| whole.pools.get_mut(pool)) {
                    pool.hosts.push(index);
                    if pool.master_to_come == Some(id) {
                        pool.master = Some(index);
                    }
                    pool.master.get_or_insert(index);
                }
            }
        }
        whole
    }

    /// How many machines it takes at least: one more than the highest number of a host, or of the
    /// first machine of an `<allhosts>`. A host that is a guest of another takes none.
    pub fn machines(&self) -> u32 {
        let named = self.hosts.iter().map(|host| match &host.nested {
            Some(nested) => nested.container,
            None => host.id,
        });
        let all = self.all_hosts.iter().map(|all| all.last.unwrap_or(all.first));
        named.chain(all).map(|id| id.saturating_add(1)).max().unwrap_or(0)
    }

    /// Every guest that is made on a host of the run, with the index of the host: those of a pool
    /// are made on its master. Guests of `<allhosts>` are there once
    /// [`with_machines`](Self::with_machines) has made hosts of them.
    pub fn guests(&self) -> impl Iterator<Item = (usize, &GuestStep)> {
        let of_hosts = self.hosts.iter().enumerate();
        let of_hosts = of_hosts.flat_map(|(at, host)| host.guests.iter().map(move |g| (at, g)));
        let of_pools = self.pools.iter().filter_map(|pool| Some((pool.master?, pool)));
        of_hosts.chain(of_pools.flat_map(|(at, pool)| pool.guests.iter().map(move |g| (at, g))))
    }
}
