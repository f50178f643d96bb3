//! Network interfaces that come and go.

use xenrt::prelude::*;

use crate::support::{
    Subject, Timings, Witness, answers_pings, count, guest_spec, in_round, outage_during, up,
};

/// VIFs are attached to a running guest, up to `max`, and detached again, the ones in the middle first.
/// The guest sees exactly those that it has, under the addresses that they were given; and the first
/// one, over which it is reached, is never disturbed.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `max`: VIFs in all (4).
#[testcase(
    id = "network.vif_walk",
    legacy = "testcases.xenserver.network.TCNICTest",
    timeout = "1h",
    requires(vif_hotplug),
    claims(guest = "exclusive"),
    tags("network", "hotplug")
)]
struct VifWalk {
    subject: Subject,
    max: usize,
}

#[async_trait]
impl TestCase for VifWalk {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        // xapi and Xen's old netfront know 7 (XenServer configuration limits).
        let max = cx.args().get_or("max", 4)?;
        if max > 7 {
            cx.info("guests have 7 VIFs at the most; the walk ends there");
        }
        Ok(Self { subject: Subject::take(cx).await?, max: max.min(7) })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let witness = Witness::leave(guest).await?;
        let before = guest.view().await?.vifs.len();
        let mut times = Timings::default();
        let mut own = Vec::new();
        // One at least, whatever it has: a walk of no steps proves nothing.
        let max = self.max.max(before + 1);
        for number in before + 1..=max {
            cx.step(format!("Attach VIF {number} of {max}"));
            let mac = MacAddress::random_xen();
            let spec = VifSpec::on_default().mac(mac);
            let vif = times.of("attach", guest.attach_vif(spec)).await?;
            if vif.mac != mac {
                let message = format!("the VIF has the address {}, not {mac}", vif.mac);
                return Err(TestError::product(message));
            }
            own.push(mac);
            answers_pings(guest, &format!("with {number} VIFs")).await?;
        }
        while !own.is_empty() {
            let mac = own.remove(own.len() / 2);
            cx.step(format!("Detach {mac}"));
            times.of("detach", guest.detach_vif(mac)).await?;
            answers_pings(guest, &format!("after {mac} was detached")).await?;
        }
        times.tell(cx);
        witness.went_on(guest).await?;
        Ok(guest.check().await?)
    }
}

/// A VIF is attached to and detached from a running guest, over and over, while somebody logs into the
/// guest all the time: the guest is never away for longer than `max_outage`, and no interface stays
/// behind on either side.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `loops` (6), `max_outage` (20s).
#[testcase(
    id = "network.vif_hotplug_under_traffic",
    timeout = "1h",
    requires(vif_hotplug),
    claims(guest = "exclusive"),
    tags("network", "hotplug")
)]
struct VifHotplugUnderTraffic {
    subject: Subject,
    loops: u32,
    max_outage: Duration,
}

#[async_trait]
impl TestCase for VifHotplugUnderTraffic {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let loops = count(cx, "loops", 6)?;
        let max_outage = cx.args().get_or("max_outage", Duration::from_secs(20))?;
        Ok(Self { subject: Subject::take(cx).await?, loops, max_outage })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let vifs = guest.view().await?.vifs.len();
        cx.step("Attach and detach a VIF while somebody logs in");
        let work = async {
            for round in 1..=self.loops {
                let once = async {
                    let vif = guest.attach_vif(VifSpec::on_default()).await?;
                    guest.detach_vif(vif.mac).await?;
                    Ok::<(), TestError>(())
                };
                once.await.map_err(in_round(round, self.loops))?;
            }
            Ok::<(), TestError>(())
        };
        let (result, outage) = outage_during(guest, work).await?;
        result?;
        cx.value("answers", f64::from(outage.answers), "");
        outage.judge(cx, guest, self.max_outage, "VIFs came and went")?;
        let left = guest.view().await?.vifs.len();
        if left != vifs {
            let message = format!("guest {} has {left} VIFs, before {vifs}", guest.name());
            return Err(TestError::product(message));
        }
        Ok(guest.check().await?)
    }
}

/// A guest that is made with many VIFs sees all of them, under the addresses that were chosen, in
/// toolstack and guest alike; and so it is after a reboot.
///
/// Arguments: `distro` (generic-linux), `vifs` (7).
#[testcase(id = "network.many_vifs", timeout = "1h", tags("network", "scalability"))]
struct ManyVifs {
    guest: Arc<dyn Guest>,
    macs: Vec<MacAddress>,
}

#[async_trait]
impl TestCase for ManyVifs {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let count: u32 = count(cx, "vifs", 7)?;
        let macs: Vec<MacAddress> = (1..count).map(|_| MacAddress::random_xen()).collect();
        let spec = macs
            .iter()
            .fold(guest_spec(cx)?, |spec, mac| spec.vif(VifSpec::on_default().mac(*mac)));
        Ok(Self { guest: up(&cx.default_host()?, &spec).await?, macs })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.guest.as_ref();
        for moment in ["after its start", "after a reboot"] {
            cx.step(format!("Look at the guest {moment}"));
            guest.check().await?;
            let seen = guest.inside().await?.macs;
            let missing: Vec<String> = self
                .macs
                .iter()
                .filter(|mac| !seen.contains(mac))
                .map(ToString::to_string)
                .collect();
            if !missing.is_empty() || seen.len() != self.macs.len() + 1 {
                return Err(TestError::product(format!(
                    "{moment} guest {} sees {} interfaces of {}; {} are missing",
                    guest.name(),
                    seen.len(),
                    self.macs.len() + 1,
                    missing.join(", ")
                )));
            }
            answers_pings(guest, moment).await?;
            if moment == "after its start" {
                guest.reboot(ShutdownMode::Clean).await?;
                guest.wait_until_reachable().await?;
            }
        }
        Ok(())
    }
}

/// A guest keeps its network over all that does not end it: after pause, suspend, reboot and restart it
/// has its hardware addresses and answers at the address that it had.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(
    id = "network.addresses_kept",
    timeout = "1h",
    claims(guest = "exclusive"),
    tags("network", "lifecycle")
)]
struct AddressesKept {
    subject: Subject,
}

#[async_trait]
impl TestCase for AddressesKept {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { subject: Subject::take(cx).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let macs = |view: &xenrt::model::GuestView| -> Vec<MacAddress> {
            view.vifs.iter().map(|vif| vif.mac).collect()
        };
        let (before, address) = (macs(&guest.view().await?), guest.wait_for_address().await?);
        let mut moments = vec!["a pause", "a reboot", "a restart"];
        if guest.host().abilities().has(Ability::Suspend) {
            moments.insert(1, "a suspend");
        }
        for moment in moments {
            cx.step(format!("Look at the network after {moment}"));
            match moment {
                "a pause" => {
                    guest.pause().await?;
                    guest.unpause().await?;
                }
                "a suspend" => {
                    guest.suspend().await?;
                    guest.resume().await?;
                }
                "a reboot" => guest.reboot(ShutdownMode::Clean).await?,
                _ => {
                    guest.shutdown(ShutdownMode::Clean).await?;
                    guest.start().await?;
                }
            }
            guest.wait_until_reachable().await?;
            answers_pings(guest, &format!("at {address} after {moment}")).await?;
            let now = macs(&guest.view().await?);
            if now != before {
                let message = format!("after {moment} the VIFs are {now:?}, before {before:?}");
                return Err(TestError::product(message));
            }
            guest.check().await?;
        }
        Ok(())
    }
}
