//! Who reaches whom, and with packets of which size.

use std::net::IpAddr;

use super::frontend::VifEnds;
use crate::support::{Subject, USUAL_PING, answers_pings, count, pings, several_up};
use xenrt::prelude::*;

/// Pings of every size cross the VIF and come back whole, in both directions: the smallest, the ones around
/// an MTU of 1500, those that fill two and three fragments to the last byte, and the largest that IP
/// can carry.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux), `largest` in bytes of data (65507).
#[testcase(
    id = "network.packet_sizes",
    timeout = "1h",
    claims(guest = "exclusive"),
    tags("network", "smoke")
)]
struct PacketSizes {
    subject: Subject,
    largest: u32,
}

/// What a ping of one packet of 1500 bytes carries: 20 bytes are IP's (RFC 791), 8 are ICMP's (RFC 792).
const FULL: u32 = 1500 - 20 - 8;
/// What each further fragment carries: a multiple of 8 bytes.
const FRAGMENT: u32 = 1480;

#[async_trait]
impl TestCase for PacketSizes {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let largest = cx.args().get_or("largest", 65_507)?;
        if !(1..=65_507).contains(&largest) {
            let problem = format!("`largest` is {largest}; a ping carries 1 to 65507 bytes");
            return Err(TestError::test(problem));
        }
        Ok(Self { subject: Subject::take(cx).await?, largest })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let address = guest.wait_for_address().await?;
        let dom0 = guest.host().dom0();
        let steps = [0, 1, FULL - 1, FULL, FULL + 1];
        let fragments = [FULL + FRAGMENT, FULL + FRAGMENT + 1, FULL + 2 * FRAGMENT, 16_000, 65_507];
        let sizes = steps.into_iter().chain(fragments).filter(|size| *size < self.largest);
        for bytes in sizes.chain([self.largest]) {
            cx.step(format!("Ping the guest with {bytes} bytes of data"));
            if let Err(said) = pings(dom0.as_ref(), address, bytes).await? {
                return Err(TestError::product(format!(
                    "pings of {bytes} bytes are not answered by guest {}: {said}",
                    guest.name()
                )));
            }
        }
        answers_pings(guest, "after large ones").await?;
        Ok(guest.check().await?)
    }
}

/// Guests on one network reach one another, each one each other one, with small packets and with
/// such as need fragments; and still do after one of them was rebooted.
///
/// Arguments: `distro` (generic-linux), `guests` (2).
#[testcase(id = "network.between_guests", timeout = "1h", tags("network"))]
struct BetweenGuests {
    guests: Vec<Arc<dyn Guest>>,
}

#[async_trait]
impl TestCase for BetweenGuests {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let guests: u32 = count(cx, "guests", 2)?;
        Ok(Self { guests: several_up(cx, guests.max(2)).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        for moment in ["after their start", "after a reboot of the first"] {
            cx.step(format!("Ping from each guest to each other one {moment}"));
            for from in &self.guests {
                for to in self.guests.iter().filter(|to| to.uuid() != from.uuid()) {
                    reaches(from.as_ref(), to.as_ref(), moment).await?;
                }
            }
            if moment == "after their start" {
                self.guests[0].reboot(ShutdownMode::Clean).await?;
                self.guests[0].wait_until_reachable().await?;
            }
        }
        Ok(())
    }
}

async fn reaches(from: &dyn Guest, to: &dyn Guest, moment: &str) -> Result {
    let address = to.wait_for_address().await?;
    for bytes in [USUAL_PING, 8000] {
        if let Err(said) = pings(from.shell().await?.as_ref(), address, bytes).await? {
            return Err(TestError::product(format!(
                "{moment} guest {} does not reach guest {} at {address} with {bytes} bytes: {said}",
                from.name(),
                to.name()
            )));
        }
    }
    Ok(())
}

/// The MTU of a guest's interface is changed step by step while it runs. With each the guest answers
/// pings that need fragments, and the interface has its first MTU at the end.
///
/// Arguments: `guest` (none: its own), `distro` (generic-linux).
#[testcase(id = "network.mtu_sweep", timeout = "1h", claims(guest = "exclusive"), tags("network"))]
struct MtuSweep {
    subject: Subject,
}

/// IPv4's least (RFC 791), its least without options of a router on the way (RFC 1191), and
/// Ethernet's with and without the headers of tunnels.
const MTUS: [u32; 5] = [68, 576, 1280, 1400, 1500];

#[async_trait]
impl TestCase for MtuSweep {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        Ok(Self { subject: Subject::take(cx).await? })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let guest = self.subject.guest.as_ref();
        let interface = VifEnds::of_first_vif(guest).await?.frontend;
        let address = guest.wait_for_address().await?;
        let before = mtu(guest, &interface).await?;
        for wanted in MTUS.into_iter().filter(|wanted| *wanted < before).chain([before]) {
            cx.step(format!("Set the MTU of {interface} to {wanted}"));
            self.once(guest, &interface, address, wanted).await?;
        }
        Ok(guest.check().await?)
    }
}

impl MtuSweep {
    async fn once(&self, guest: &dyn Guest, name: &str, to: IpAddr, wanted: u32) -> Result {
        let set = Command::new("ip").args(["link", "set", "dev", name, "mtu"]);
        let set = set.arg(wanted.to_string()).deadline(Duration::from_secs(60));
        guest.shell().await?.run(&set).await?;
        let seen = mtu(guest, name).await?;
        if seen != wanted {
            let message = format!("{name} of guest {} has an MTU of {seen}", guest.name());
            return Err(TestError::product(format!("{message}, and was given {wanted}")));
        }
        // Few fragments: what is sent at once must fit into the guest's send buffer.
        let bytes = (wanted * 3).min(4000);
        match pings(guest.host().dom0().as_ref(), to, bytes).await? {
            Ok(()) => Ok(()),
            Err(said) => Err(TestError::product(format!(
                "with an MTU of {wanted} guest {} does not answer pings of {bytes} bytes: {said}",
                guest.name()
            ))),
        }
    }
}

async fn mtu(guest: &dyn Guest, interface: &str) -> Result<u32> {
    let read = Command::new("cat").arg(format!("/sys/class/net/{interface}/mtu"));
    let said = guest.shell().await?.text(&read.deadline(Duration::from_secs(60))).await?;
    said.trim()
        .parse()
        .map_err(|_| TestError::product(format!("the MTU of {interface} is said to be {said:?}")))
}
