//! The pools that a sequence prepares: the other hosts join the one that the pool is made on.

use futures::future::FutureExt as _;

use super::networks::set_addresses;
use super::{Makings, Preparation};
use crate::sequence::Prepare;
use crate::sequencer::resources::Resources;

impl Preparation {
    /// One host of a pool after the other, pools side by side. Afterwards each has the addresses that
    /// the pool's `<NETWORK>` gives it.
    pub(super) async fn make_pools(
        &self,
        part: &Prepare,
        resources: &Resources,
        makings: &mut Makings,
    ) -> Result<(), String> {
        let mut steps = Vec::new();
        for (number, pool) in part.pools.iter().enumerate() {
            let positions = self.pool_positions(part, number);
            let Some((master, others)) = positions.split_first() else { continue };
            let names = makings.networks.get(master).cloned().unwrap_or_default();
            for other in others {
                makings.networks.entry(*other).or_default().extend(names.clone());
            }
            let coordinator = &resources.hosts[*master].host;
            let (others, topology) = (others.to_vec(), pool.topology.as_ref());
            steps.push(
                async move {
                    for at in others {
                        let host = &resources.hosts[at].host;
                        let name = format!("{} into pool {}", host.name(), pool.name());
                        let line = Some(pool.place.line);
                        let join = async { host.pooling()?.join(coordinator).await };
                        self.step(&name, line, join).await?;
                        if let Some(topology) = topology {
                            let name = format!("addresses of {}", host.name());
                            let work = set_addresses(host.as_ref(), topology, &names);
                            self.step(&name, Some(topology.place.line), work).await?;
                        }
                    }
                    Ok(())
                }
                .boxed(),
            );
        }
        self.all(steps).await.map(drop)
    }
}
