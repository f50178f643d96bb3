//! What stands on a host, before and after.

use xenrt::model::HostInventory;
use xenrt::prelude::*;

/// Memory may differ by this much: a hypervisor keeps pools of its own.
const ALLOWANCE: Memory = Memory::mib(8);

/// Domains, free memory and objects of a host at one time. For tests that have the host to
/// themselves: what others make in between would be taken for a leak.
#[derive(Debug, Clone)]
pub(crate) struct Census {
    domains: Vec<(u32, String)>,
    free: Memory,
    inventory: HostInventory,
}

impl Census {
    /// Looks at everything.
    pub(crate) async fn take(host: &dyn Host) -> xenrt::Result<Self> {
        let domains = host.domains().await?;
        Ok(Self {
            domains: domains.into_iter().map(|domain| (domain.domid, domain.name)).collect(),
            free: host.info().await?.free_memory,
            inventory: host.inventory().await?,
        })
    }

    /// What is there now and was not before: domains by number and name, files, networks,
    /// processes; and memory that is no longer free.
    pub(crate) fn left_since(&self, before: &Self) -> Vec<String> {
        let known = |domain: &&(u32, String)| before.domains.contains(domain);
        let domains = self.domains.iter().filter(|domain| !known(domain));
        let mut left: Vec<String> = domains
            .map(|(domid, name)| match name.as_str() {
                "" => format!("domain {domid}, which has no name any more"),
                name => format!("domain {domid} ({name})"),
            })
            .collect();
        // Domains are told above, with their numbers.
        let objects = self.inventory.added_since(&before.inventory);
        left.extend(objects.into_iter().filter(|object| !object.starts_with("domain ")));
        if self.free < before.free && before.free.abs_diff(self.free) > ALLOWANCE {
            left.push(format!(
                "{} MiB less free memory ({} MiB, before {} MiB)",
                before.free.abs_diff(self.free).as_mib(),
                self.free.as_mib(),
                before.free.as_mib()
            ));
        }
        left
    }

    /// Waits until nothing is left since `before`: what is being torn down may take its time.
    ///
    /// # Errors
    /// The product's, with all that is left when the deadline has passed.
    pub(crate) async fn nothing_left(host: &dyn Host, before: &Self, within: Duration) -> Result {
        let settled = wait_until(format!("host {} to be as before", host.name()), || async {
            let now = Self::take(host).await?;
            let left = now.left_since(before);
            Ok(Wait::on(left.is_empty(), left.join("; ")))
        });
        match settled.within(within).await {
            Err(xenrt::Error::Timeout { last_seen, .. }) => {
                Err(TestError::product(format!("the host is left with {last_seen}")))
            }
            result => Ok(result?),
        }
    }

    /// The free memory that was seen.
    pub(crate) fn free(&self) -> Memory {
        self.free
    }
}
