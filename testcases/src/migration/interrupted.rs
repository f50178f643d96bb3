//! Migrations whose connection is cut.

use std::net::IpAddr;

use tokio::time::{Instant, sleep_until};
use xenrt::prelude::*;

use super::{both, other};
use crate::support::{Filter, Witness, count, guest_spec, in_round, up};

/// The connection between two hosts is cut while a guest moves, earlier or later in each round. The guest
/// lives on, on one host and not on both, undisturbed; the other host is left with nothing of it; and it
/// can be moved when the connection is back.
///
/// The cut is a filter of nftables in dom0 of the source: it resets every connection that the host has made
/// to others. Skipped where dom0 has no nftables. Where no round was cut before the guest had moved, the
/// test says nothing and is skipped.
///
/// Arguments: `distro` (generic-linux), `rounds` (3).
#[testcase(
    id = "migration.interrupted",
    timeout = "2h",
    requires(hosts = 2, live_migration),
    claims(host = "exclusive"),
    tags("migration", "fault")
)]
struct Interrupted {
    guest: Arc<dyn Guest>,
    hosts: (Arc<dyn Host>, Arc<dyn Host>),
    filters: (Filter, Filter),
    rounds: u32,
}

/// The table of nftables that is the cut.
const TABLE: &str = "inet xenrt_cut";

#[async_trait]
impl TestCase for Interrupted {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (hosts, rounds) = (both(cx)?, count(cx, "rounds", 3)?);
        let first = Filter::make(cx, hosts.0.as_ref(), TABLE).await?;
        let second = Filter::make(cx, hosts.1.as_ref(), TABLE).await?;
        let guest = up(&cx.default_host()?, &guest_spec(cx)?).await?;
        Ok(Self { guest, hosts, filters: (first, second), rounds })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        cx.step("Migrate undisturbed, to know how long it takes");
        let since = Instant::now();
        guest.migrate(&other(guest, &self.hosts)).await?;
        let whole = since.elapsed();
        cx.value("undisturbed migration", whole.as_secs_f64(), "s");
        let mut cut = 0;
        for round in 1..=self.rounds {
            let at = whole.mul_f64(f64::from(round) / f64::from(self.rounds + 1));
            cx.step(format!("Migrate, and cut it after {:.1} s", at.as_secs_f64()));
            if self.once(at).await.map_err(in_round(round, self.rounds))? {
                cut += 1;
            }
        }
        cx.value("migrations that were cut", f64::from(cut), "");
        cx.step("Migrate with the connection back");
        let witness = Witness::leave(guest).await?;
        guest.migrate(&other(guest, &self.hosts)).await?;
        witness.went_on(guest).await?;
        guest.check().await?;
        if cut == 0 {
            return Err(TestError::skip("each migration ended before it could be cut"));
        }
        Ok(())
    }
}

impl Interrupted {
    /// Whether the migration was cut before its end.
    async fn once(&self, at: Duration) -> Result<bool> {
        let guest = self.guest.as_ref();
        let (source, target) = (guest.host(), other(guest, &self.hosts));
        let witness = Witness::leave(guest).await?;
        let at_first = source.name() == self.hosts.0.name();
        let filter = if at_first { &self.filters.0 } else { &self.filters.1 };
        let address = guest.wait_for_address().await?;
        let begun = Instant::now();
        let cut = async {
            sleep_until(begun + at).await;
            cut_off(filter, address).await
        };
        let (moved, cut) = tokio::join!(guest.migrate(&target), cut);
        filter.clear().await?;
        cut?;
        let expected = if moved.is_ok() { &target } else { &source };
        self.is_only_on(expected).await?;
        guest.wait_until_reachable().await?;
        witness.went_on(guest).await?;
        guest.check().await?;
        Ok(moved.is_err())
    }

    /// That one host lists the guest and has a domain of it, and the other has neither.
    async fn is_only_on(&self, expected: &Arc<dyn Host>) -> Result {
        let guest = self.guest.as_ref();
        let name = guest.name();
        if guest.host().name() != expected.name() {
            let message = format!("guest {name} is said to be on {}", guest.host().name());
            return Err(TestError::product(format!("{message}, not on {}", expected.name())));
        }
        for host in [&self.hosts.0, &self.hosts.1] {
            let wanted = u32::from(host.name() == expected.name());
            // A domain that goes away takes a moment.
            wait_until(format!("{} to have {wanted} domains of {name}", host.name()), || async {
                let domains = host.domains().await?;
                let own = domains.iter().filter(|domain| match domain.uuid {
                    Some(uuid) => uuid == guest.uuid(),
                    None => domain.name.starts_with(&name),
                });
                let found: Vec<&str> = own.map(|domain| domain.name.as_str()).collect();
                Ok(Wait::on(found.len() == wanted as usize, format!("it has {found:?}")))
            })
            .within(guest.deadlines().state)
            .await?;
            let listed =
                host.guests().await?.iter().filter(|own| own.uuid() == guest.uuid()).count();
            if listed != wanted as usize {
                let message = format!("{} lists guest {name} {listed} times", host.name());
                return Err(TestError::product(format!("{message}, not {wanted}")));
            }
        }
        Ok(())
    }
}

/// The ports at which hosts are asked: ssh, xapi, libvirtd. Whoever looks at a host is at the other end.
const SERVED: &str = "{ 22, 80, 443, 16509, 16514 }";

/// Cuts what a host has connected to, but for the guest at this address.
async fn cut_off(filter: &Filter, guest: IpAddr) -> Result {
    let family = if guest.is_ipv4() { "ip" } else { "ip6" };
    let rules = [
        "oif lo accept".to_owned(),
        format!("tcp sport {SERVED} accept"),
        format!("{family} daddr {guest} accept"),
        "meta l4proto tcp reject with tcp reset".to_owned(),
    ];
    let hook = "{ type filter hook output priority 0; policy accept; }";
    filter.chain("output", hook, &rules).await
}
