//! Names that are used again.

use xenrt::prelude::*;

use crate::support::{Witness, count, guest_spec, in_round, up};

/// A guest is made, used and deleted, and another one is made under its name, over and over. Each has an
/// identity of its own, boots by itself, and finds nothing of the ones before it.
///
/// Arguments: `distro` (generic-linux), `loops` (3).
#[testcase(id = "lifecycle.name_reuse", timeout = "1h", tags("lifecycle"))]
struct NameReuse {
    host: Arc<dyn Host>,
    spec: GuestSpec,
    loops: u32,
}

#[async_trait]
impl TestCase for NameReuse {
    async fn prepare(cx: &TestContext) -> Result<Self> {
        let (spec, loops) = (guest_spec(cx)?, count(cx, "loops", 3)?);
        Ok(Self { host: cx.default_host()?, spec, loops })
    }

    async fn run(&mut self, cx: &TestContext) -> Result {
        let mut before: Option<(Arc<dyn Guest>, Witness)> = None;
        for round in 1..=self.loops {
            cx.step(format!("Make a guest {}, round {round} of {}", self.spec.name, self.loops));
            let made = self.once(before.take()).await.map_err(in_round(round, self.loops))?;
            before = Some(made);
        }
        Ok(())
    }
}

impl NameReuse {
    async fn once(
        &self,
        before: Option<(Arc<dyn Guest>, Witness)>,
    ) -> Result<(Arc<dyn Guest>, Witness)> {
        let name = &self.spec.name;
        let guest = up(&self.host, &self.spec).await?;
        if let Some((old, witness)) = before {
            if guest.uuid() == old.uuid() {
                let message = format!("the new guest {name} has the identity of the old one");
                return Err(TestError::product(format!("{message}, {}", old.uuid())));
            }
            witness.booted_anew(guest.as_ref()).await?;
        }
        let known = self.host.guests().await?;
        let same = known.iter().filter(|known| known.name() == *name).count();
        if same != 1 {
            let message = format!("the host knows {same} guests by the name {name}, not one");
            return Err(TestError::product(message));
        }
        let witness = Witness::leave(guest.as_ref()).await?;
        guest.check().await?;
        guest.shutdown(ShutdownMode::Hard).await?;
        guest.delete().await?;
        if self.host.guests().await?.iter().any(|known| known.name() == *name) {
            let message = format!("guest {name} was deleted and the host still knows it");
            return Err(TestError::product(message));
        }
        Ok((guest, witness))
    }
}
